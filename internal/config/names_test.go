package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/config"
)

func TestContextIsNamedByTheHostOfItsServerUnlessAPersonNamedIt(t *testing.T) {
	all := config.Contexts{List: []config.Context{
		{Log: "0123456789", Servers: []string{"http://127.0.0.1:7070", "http://10.0.0.1:7070"}},
		{Log: "0123abcdef", Name: "10.0.0.2:80", Servers: []string{"https://b"}},
		{Log: "fedcba9876", Servers: []string{"http://10.0.0.2:80"}},
	}}
	name := func(i int) string { return all.NameOf(&all.List[i]) }
	require.Equal(t, []string{"127.0.0.1:7070", "10.0.0.2:80", "fedcba98"}, []string{name(0), name(1), name(2)})
	for text, log := range map[string]string{"127.0.0.1:7070": "0123456789", "http://localhost:7070/": "0123456789",
		"0123456789": "0123456789", "01234": "0123456789", "10.0.0.2:80": "0123abcdef", "HTTPS://B:443": "0123abcdef"} {
		found, err := all.Named(text)
		require.NoError(t, err, text)
		require.Equal(t, log, found.Log, text)
	}
	for text, want := range map[string]string{"0123": "matches 2 contexts", "fed": "does not exist", "": "does not exist"} {
		_, err := all.Named(text)
		require.ErrorContains(t, err, want, text)
	}
	require.ErrorContains(t, all.Rename(&all.List[0], "10.0.0.2:80"), "another context is called")
	require.NoError(t, all.Rename(&all.List[0], "laptop"))
	require.NoError(t, all.Rename(&all.List[0], "laptop"), "its own name")
	require.Equal(t, "laptop", name(0))
}

func TestRemovedContextIsNotCurrent(t *testing.T) {
	all := config.Contexts{Current: "a", List: []config.Context{{Log: "a"}, {Log: "b"}}}
	all.Remove("b")
	require.Equal(t, "a", all.Current)
	all.Remove("a")
	require.Empty(t, all.Current)
	require.Empty(t, all.List)
}
