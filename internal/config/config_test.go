package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/internal/config"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func flags() *pflag.FlagSet {
	set := pflag.NewFlagSet("drover", pflag.ContinueOnError)
	set.String("listen", "127.0.0.1:7070", "")
	set.Duration("tick", 15*time.Second, "")
	set.StringSlice("role", nil, "")
	set.Bool("insecure", false, "")
	set.String("version", "", "")
	return set
}

var names = []string{"listen", "tick", "role", "insecure"}

func TestFlagOverridesEnvironmentAndEnvironmentOverridesFile(t *testing.T) {
	file, err := config.ReadFile(write(t, "listen: from-file\ntick: 3s\nrole: [web, db]\ninsecure: yes\n"))
	require.NoError(t, err)
	t.Setenv("DROVER_TICK", "2s")
	t.Setenv("DROVER_INSECURE", "true")
	set := flags()
	require.NoError(t, set.Parse([]string{"--listen", "from-flag"}))
	require.NoError(t, config.Fill(set, names, file))

	got := map[string]string{}
	set.VisitAll(func(f *pflag.Flag) { got[f.Name] = f.Value.String() })
	require.Equal(t, map[string]string{
		"listen": "from-flag", "tick": "2s", "role": "[web,db]", "insecure": "true", "version": "",
	}, got)
}

func TestInvalidFileIsReportedWithItsLocation(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"unknown key":                       {"listen: x\nlsten: y\n", `:2:1: unknown key "lsten" (did you mean "listen"?)`},
		"unknown key without a similar one": {"zzzzzzzz: y\n", `:1:1: unknown key "zzzzzzzz" (use one of listen, address, log,`},
		"twice":                             {"listen: x\nlisten: y\n", `:2:1: duplicate key "listen"`},
		"a map":                             {"listen: {a: 1}\n", `:1:1: invalid value of key "listen" (use text,`},
		"a list":                            {"- listen\n", `:1:1: the file has no keys and values`},
		"syntax error":                      {"listen: [\n", ":1:9: invalid YAML: sequence end token ']' not found"},
		"wrong type":                        {"a: 1\n", "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, test.text)
			_, err := config.ReadFile(path)
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, path)
		})
	}
}

func TestInvalidValueIsReportedWithItsLocation(t *testing.T) {
	path := write(t, "\ntick: soon\n")
	file, err := config.ReadFile(path)
	require.NoError(t, err)
	require.ErrorContains(t, config.Fill(flags(), names, file), path+`:2: key "tick": invalid value "soon"`)

	t.Setenv("DROVER_TICK", "later")
	require.ErrorContains(
		t,
		config.Fill(flags(), names, file),
		`environment variable DROVER_TICK: invalid value "later"`,
	)

	file, err = config.ReadFile(write(t, "listen: [a, b]\n"))
	require.NoError(t, err)
	require.ErrorContains(t, config.Fill(flags(), names[:1], file), `key "listen" takes one value, not 2`)
}

func TestMissingConfigFileSetsNothing(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	file, err := config.ReadFile("")
	require.NoError(t, err)
	set := flags()
	require.NoError(t, config.Fill(set, names, file))
	require.False(t, set.Changed("listen"))

	_, err = config.ReadFile("/nowhere/config.yaml")
	require.ErrorContains(t, err, "/nowhere/config.yaml")
}

func TestConfigFileMayBeEmpty(t *testing.T) {
	for _, text := range []string{"", "# nothing yet\n", "---\n"} {
		_, err := config.ReadFile(write(t, text))
		require.NoError(t, err, "%q", text)
	}
}

func TestContextsAreReadableOnlyByTheirOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drover", "contexts.json")
	add(t, path, config.Context{Log: "log-a", Servers: []string{"http://a"}, Token: "secret"})
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestConcurrentChangesOfContextsLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "contexts.json")
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() { add(t, path, config.Context{Log: fmt.Sprint("log-", i)}) })
	}
	all.Wait()
	found, err := config.ReadContexts(path)
	require.NoError(t, err)
	require.Len(t, found.List, 20)
}

func TestAddressBelongsToTheLogThatWasServedThereLast(t *testing.T) {
	const address = "http://127.0.0.1:7070"
	var all config.Contexts
	all.Add(config.Context{Log: "old", Servers: []string{address}, Token: "o"})
	all.Add(config.Context{Log: "new", Servers: []string{address}, Token: "n"})
	require.True(t, all.AddServer("new", address, "", false))
	require.False(t, all.AddServer("new", address, "", false), "the second time changes nothing")
	require.Equal(t, "n", all.For("").Token)
	require.Equal(t, "n", all.For(address).Token)

	require.True(t, all.AddServer("old", address, "", false))
	require.Equal(t, "o", all.For("").Token, "the log that lost its last address is no longer current")
	require.Equal(
		t,
		"o",
		all.For("http://elsewhere").Token,
		"a server that is named changes the address, not the token",
	)
}

func TestContextStaysCurrentWhileItHasAddresses(t *testing.T) {
	var all config.Contexts
	all.Add(config.Context{Log: "mine", Servers: []string{"http://a"}})
	all.Add(config.Context{Log: "theirs", Servers: []string{"https://b"}})
	require.True(t, all.AddServer("theirs", "https://b2", "", false))
	require.Equal(t, "mine", all.Current)
}

func TestNewAddressIsAddedLastAndTheFirstStays(t *testing.T) {
	var all config.Contexts
	all.Add(config.Context{Log: "mine", Servers: []string{"http://a"}})
	require.True(t, all.AddServer("mine", "http://b", "", false))
	require.Equal(t, []string{"http://a", "http://b"}, all.List[0].Servers)
	require.False(t, all.AddServer("mine", "http://a", "", false))
	require.False(t, all.RemoveServer("mine", "http://a"), "the first address identifies the log")
	require.True(t, all.RemoveServer("mine", "http://b"))
	require.False(t, all.RemoveServer("mine", "http://b"))
	require.False(t, all.RemoveServer("none", "http://a"))
	require.True(t, all.AddServer("mine", "http://c", "", true))
	for i := range 20 {
		all.AddServer("mine", fmt.Sprint("http://", i), "", false)
	}
	servers := all.List[0].Servers
	require.Len(t, servers, 8)
	require.Equal(t, "http://c", servers[0])
	require.Equal(t, "http://19", servers[7])
}

func TestInvalidContextsFileIsReportedAndNotChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "contexts.json")
	require.NoError(t, os.WriteFile(path, []byte("{half"), 0o600))
	err := config.ChangeContexts(path, func(*config.Contexts) (bool, error) { return true, nil })
	require.ErrorContains(t, err, path+" is not a contexts file")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "{half", string(text))
}

func add(t *testing.T, path string, c config.Context) {
	err := config.ChangeContexts(path, func(all *config.Contexts) (bool, error) {
		all.Add(c)
		return true, nil
	})
	if err != nil {
		t.Error(err)
	}
}
