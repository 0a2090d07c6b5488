package strictyaml_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/resource/strictyaml"
)

type fleet struct {
	Name  string            `yaml:"name" required:"give it a name"`
	Size  int               `yaml:"size" zero:"use 1 or more"`
	Share int               `yaml:"share" unit:"%"`
	Wait  *time.Duration    `yaml:"wait"`
	Tags  []string          `yaml:"tags" hint:"write [a]"`
	Env   map[string]string `yaml:"env"`
	Teams []team            `yaml:"teams"`
	Roles map[string]*team  `yaml:"roles"`
}

type team struct {
	Name string `yaml:"name"`
	Size int    `yaml:"size"`
}

// decode decodes the documents of a text as fleets. Sizes over 9 are invalid.
func decode(name, text string) (all []fleet, err error) {
	src, problem := strictyaml.NewSource(name, []byte(text))
	if problem != nil {
		return nil, problem
	}
	found := &strictyaml.Findings{}
	src.Read(found, func(v *strictyaml.Value) {
		var read fleet
		d := strictyaml.Decoder{Source: src, Found: found}
		d.Decode(v, "", &read, strictyaml.Rules{
			Example: func() any { return &fleet{Name: "a", Size: 1, Teams: []team{{Name: "b"}}} },
			Check: func(document any) (reason, hint string) {
				f, _ := document.(*fleet)
				for role, t := range f.Roles {
					if t.Size > 9 {
						return "role " + role + " is too large", "use 9 or less"
					}
				}
				for name, text := range f.Env {
					if text == "bad" {
						return "env " + name + " is bad", "use another value"
					}
				}
				for _, t := range append(f.Teams, team{f.Name, f.Size}) {
					if t.Name == "" || t.Size > 9 {
						return "team " + t.Name + " is too large", "use 9 or less"
					}
				}
				return "", ""
			},
		})
		all = append(all, read)
	})
	return all, found.Err()
}

func TestDecodeKeepsTheTextOfScalars(t *testing.T) {
	wait := 90 * time.Second
	want := fleet{Name: "1.10", Size: 7, Share: 20, Wait: &wait, Tags: []string{"0x1F", "True"},
		Env: map[string]string{"a": "1_000"}, Teams: []team{{"b", 2}}}
	for name, text := range map[string]string{
		"f.yaml": "name: 1.10\nsize: 7\nshare: 20%\nwait: 1m30s\ntags: [0x1F, True]\nenv: {a: 1_000}\nteams:\n- {name: b, size: 2}\n",
		"f.json": `{"name": "1.10", "size": 7, "share": "20%", "wait": "1m30s", "tags": ["0x1F", "True"], "env": {"a": "1_000"},
			"teams": [{"name": "b", "size": 2}]}`,
	} {
		read, err := decode(name, text)
		require.NoError(t, err)
		require.Equal(t, []fleet{want}, read)
	}
}

func TestDecodeReportsEachEntryOfBothKindsOfMaps(t *testing.T) {
	read, err := decode("f", "name: a\nsize: 1\nenv: {a: x, b: bad, c: [x]}\nroles: {web: {size: 10}, db: {size: 2}, edge: 3}\n")
	for _, problem := range []string{"f:3:13: env b is bad", "f:3:24: env.c must be text, not a list",
		"f:4:21: role web is too large", "f:4:47: roles.edge must be a mapping, not 3"} {
		require.ErrorContains(t, err, problem)
	}
	require.Equal(t, 2, read[0].Roles["db"].Size)
	_, err = decode("f", "name: a\nsize: 1\nenv: x\nroles: [x]\n")
	require.ErrorContains(t, err, "a mapping of names to text")
	require.ErrorContains(t, err, "a mapping of names to mappings")
}

func TestDecodeStopsInAMapWhenThereAreEnoughProblems(t *testing.T) {
	env, roles := &strings.Builder{}, &strings.Builder{}
	for i := range 3 * strictyaml.MaxProblems {
		fmt.Fprintf(env, "  n%d: [x]\n", i)
		fmt.Fprintf(roles, "  n%d: [x]\n", i)
	}
	read, _ := decode("f", "name: a\nsize: 1\nenv:\n"+env.String())
	require.Len(t, read[0].Env, strictyaml.MaxProblems)
	read, _ = decode("f", "name: a\nsize: 1\nroles:\n"+roles.String())
	require.Len(t, read[0].Roles, strictyaml.MaxProblems)
}

func TestDecodeReportsEachProblemAtItsLocation(t *testing.T) {
	_, err := decode(
		"f",
		"size: 0\nnme: a\nshare: 20\ntags: a\nteams: [{size: 10, name: c, zzzz: 1}, {name: '', size: 10}]\n---\nname: a\nsize: 10\n",
	)
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if strings.HasPrefix(line, "f:") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	require.Equal(t, []string{
		"f:1:1: name is missing (give it a name)",
		"f:1:7: invalid size 0 (use 1 or more)",
		`f:2:1: unknown key "nme" in the document (did you mean "name"?)`,
		"f:3:8: share must be a percentage, not 20 (such as 20%)",
		`f:4:7: tags must be a list, not text "a" (write [a])`,
		"f:5:16: team c is too large (use 9 or less)",
		`f:5:29: unknown key "zzzz" in teams[0] (use one of name, size)`,
		"f:5:46: team  is too large (use 9 or less)",
		"f:8:7: team a is too large (use 9 or less)",
	}, lines)
}

func TestNearestReturnsTheMostSimilarWord(t *testing.T) {
	known := []string{"roles", "maxParallel", "environment", "environments"}
	for word, want := range map[string]string{
		"role": "roles", "rolse": "roles", "Roles": "roles", "maxparalel": "maxParallel", "enviroment": "environment",
		"env": "environment", "x": "", "colour": "", "": "", strings.Repeat("r", 1000): "",
	} {
		require.Equal(t, want, strictyaml.Nearest(word, known), word)
	}
}
