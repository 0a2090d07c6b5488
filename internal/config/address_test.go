package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/config"
)

func TestFormsOfOneAddressAreTheSameServer(t *testing.T) {
	for _, same := range [][2]string{
		{"http://127.0.0.1:7070", "http://127.0.0.1:7070/"},
		{"http://127.0.0.1:7070", "http://localhost:7070"},
		{"http://[::1]:7070", "HTTP://LocalHost:7070/"},
		{"http://[::1]:7070", "http://[0:0::1]:7070"},
		{"http://[::ffff:10.0.0.1]:7070", "http://10.0.0.1:7070"},
		{"https://drover.example", "https://Drover.Example.:443"},
		{"http://drover.example:80/", "http://drover.example"},
		{"unix:///a/drover.sock", "unix:///a/drover.sock"},
		{"not an address", "not an address"},
	} {
		require.True(t, config.SameServer(same[0], same[1]), "%v", same)
		require.True(t, config.SameServer(same[1], same[0]), "%v", same)
	}
	for _, other := range [][2]string{
		{"http://127.0.0.1:7070", "https://127.0.0.1:7070"},
		{"http://127.0.0.1:7070", "http://127.0.0.1:7071"},
		{"http://127.0.0.1:7070", "http://127.0.0.2:7070"},
		{"http://127.0.0.1:7070", "http://[::1]:7070"},
		{"http://localhost:7070", "http://localhost.example:7070"},
		{"http://localhost:7070", "http://127.0.0.1:70"},
		{"http://a:7070", "http://a:7070/b"},
		{"unix:///a/drover.sock", "unix:///A/drover.sock"},
		{"http://a", ""},
	} {
		require.False(t, config.SameServer(other[0], other[1]), "%v", other)
		require.False(t, config.SameServer(other[1], other[0]), "%v", other)
	}
}

func TestAddressInAnotherFormIsNotAddedTwice(t *testing.T) {
	var all config.Contexts
	all.Add(config.Context{Log: "mine", Servers: []string{"http://127.0.0.1:7070"}, Sockets: []string{"unix:///s"}})
	require.False(t, all.AddServer("mine", "http://127.0.0.1:7070/", "", false))
	require.True(t, all.AddServer("mine", "http://[::1]:7070", "", false), "another program can listen there")
	require.Len(t, all.List[0].Servers, 2)
	require.True(t, all.List[0].Lists("http://LOCALHOST:7070"))
	require.True(t, all.List[0].Lists("unix:///s"))
	require.False(t, all.List[0].Lists("unix:///other"))
	require.True(t, all.RemoveServer("mine", "http://[0::1]:7070/"))
}

func TestFieldsOfANewerVersionAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "contexts.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"current": "a", "theme": {"dark": true}, "contexts": [
		{"log": "a", "servers": ["http://a"], "token": "t", "name": "prod", "tags": [1, 2]}, {"log": "b"}]}`), 0o644))
	change := func(all *config.Contexts) (bool, error) { return all.Find("a").Pin("dsk_a"), nil }
	require.NoError(t, config.ChangeContexts(path, change))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.JSONEq(t, `{"current": "a", "theme": {"dark": true}, "contexts": [
		{"log": "a", "servers": ["http://a"], "token": "t", "name": "prod", "tags": [1, 2], "serverKey": "dsk_a"},
		{"log": "b", "servers": null, "token": ""}]}`, string(text))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "the new file is private even if the old one was not")
	require.NoError(t, config.ChangeContexts(path, change))
	again, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, text, again, "the same key changes nothing")
}
