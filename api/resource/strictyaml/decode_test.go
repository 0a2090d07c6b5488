package strictyaml_test

import (
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
