package resource

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/droverhq/drover/domain"
)

func TestDiffHasALineForEachChange(t *testing.T) {
	old := readOne(t, "old", shop)
	now := readOne(
		t,
		"new",
		strings.NewReplacer(
			"maxParallel: 10",
			"maxParallel: 5",
			"roles: [web, api]",
			"roles: [web]",
			"attempts: 5, ",
			"",
			"    PORT: 8080\n",
			"    HOST: a b\n",
			"exit 0",
			"./migrate\n        exit 1",
			"{name: check, run: ./check.sh}",
			"{name: verify, run: ./check.sh}",
			"  disabled: true\n",
			"",
		).Replace(shop),
	)
	require.Equal(t, []string{
		"~ spec.roles: [api, web] → [web]",
		"~ spec.maxParallel: 10 → 5",
		"~ spec.automatic.attempts: 5 → 3",
		"+ spec.variables.HOST: a b",
		`- spec.variables.PORT: "8080"`,
		"~ spec.disabled: true → false",
		"~ spec.steps[0].run:",
		"    @@ -1,4 +1,5 @@",
		"     #!/bin/sh",
		"     echo \"a: b\"   # not a comment of YAML",
		"     ",
		"    -exit 0",
		"    +./migrate",
		"    +exit 1",
		"- spec.steps[1].name: check",
		"- spec.steps[1].run: ./check.sh",
		"+ spec.steps[1].name: verify",
		"+ spec.steps[1].run: ./check.sh",
	}, Diff(Compare(old, now)))
	require.Empty(t, Compare(old, old))
}

func TestDiffWithTheZeroDocumentListsAllKeys(t *testing.T) {
	machine := readOne(t, "f", spec("Machine", "{environment: production, roles: [web]}"))
	require.Equal(t, []string{"+ spec.environment: production", "+ spec.roles: [web]"}, Diff(Compare(Document{}, machine)))
	require.Equal(t, []string{"- spec.environment: production", "- spec.roles: [web]"}, Diff(Compare(machine, Document{})))
	require.Empty(t, Compare(Document{}, FromEnvironment("production")))
}

// shopWith returns a project with one step for each script, named by its index in names.
func shopWith(names, scripts []string) Document {
	s := domain.ProjectSettings{}
	for i, name := range names {
		s.Steps = append(s.Steps, domain.Step{Name: name, Run: scripts[i]})
	}
	return FromProject(&domain.Project{Name: "shop", Settings: s})
}

// TestEveryChangeOfAScriptIsShown guards what diff promises: one changed character shows, wherever it is. A comparison
// of summaries called two scripts of the same number of lines unchanged.
func TestEveryChangeOfAScriptIsShown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.StringOfN(rapid.RuneFrom([]rune("ab \n\t")), 1, 2000, -1).Draw(t, "script")
		at := rapid.IntRange(0, len(before)-1).Draw(t, "at")
		after := before[:at] + "X" + before[at+1:]
		deltas := Compare(shopWith([]string{"s"}, []string{before}), shopWith([]string{"s"}, []string{after}))
		require.Len(t, deltas, 1)
		d := deltas[0]
		require.Equal(t, "spec.steps[0].run", d.Path)
		require.Equal(t, Changed, d.Op)
		if d.Lines == nil {
			require.Contains(t, d.To, "X")
			return
		}
		require.Contains(t, strings.Join(d.Lines, "\n"), "X")
	})
}

func TestComparisonIsEmptyOnlyForEqualSettings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old := anyProject(t)
		changed := old.Command(domain.Origin{}).(domain.ApplyProject)
		other := anyProject(t).Command(domain.Origin{}).(domain.ApplyProject)
		switch rapid.IntRange(0, 5).Draw(t, "change") {
		case 0:
			changed.Settings.Steps = other.Settings.Steps
		case 1:
			changed.Settings.Variables = other.Settings.Variables
		case 2:
			changed.Settings.Secrets = other.Settings.Secrets
		case 3:
			changed.Settings.MaxParallel = other.Settings.MaxParallel
		case 4:
			changed.Disabled = other.Disabled
		}
		deltas := Compare(old, of(changed))
		equal := domain.CommandContent(old.Command(domain.Origin{}))
		require.Equal(t, string(equal) == string(domain.CommandContent(of(changed).Command(domain.Origin{}))),
			len(deltas) == 0, "%v", deltas)
	})
}

func TestInsertedStepChangesNoOtherStep(t *testing.T) {
	deltas := Compare(shopWith([]string{"stop", "start"}, []string{"a", "b"}),
		shopWith([]string{"stop", "migrate", "start"}, []string{"a", "m", "b"}))
	require.Equal(t, []string{"+ spec.steps[1].name: migrate", "+ spec.steps[1].run: m"}, Diff(deltas))
}

func TestMovedStepsAreShownByTheirOrder(t *testing.T) {
	deltas := Compare(shopWith([]string{"stop", "start"}, []string{"a", "b"}),
		shopWith([]string{"start", "stop"}, []string{"b", "a"}))
	require.Equal(t, []string{"~ spec.steps: [stop, start] → [start, stop]"}, Diff(deltas))
}

func TestDefaultsAreShownByTheirEffect(t *testing.T) {
	with := func(timeout string, parallel string) Document {
		return readOne(t, "f", spec("Project", "{"+parallel+"steps: [{name: a, run: b"+timeout+"}]}"))
	}
	require.Equal(t, []string{"~ spec.maxParallel: no limit → 10", "~ spec.steps[0].timeout: 30m → 9s"},
		Diff(Compare(with("", ""), with(", timeout: 9s", "maxParallel: 10, "))))
	require.Equal(t, []string{"~ spec.steps[0].timeout: 30m (default) → 30m"},
		Diff(Compare(with("", ""), with(", timeout: 30m", ""))), "the setting changes, although its effect does not")
}

func TestHugeDiffsAreShortenedButCounted(t *testing.T) {
	script := func(word string) string {
		var b strings.Builder
		for i := range 5000 {
			fmt.Fprintf(&b, "%s %d\n", word, i)
		}
		return b.String()
	}
	d := Compare(shopWith([]string{"a"}, []string{script("x")}), shopWith([]string{"a"}, []string{script("y")}))[0]
	require.Len(t, d.Lines, maxTextLines)
	require.Equal(t, 10_001, len(d.Lines)+d.More)
}

func TestLongLinesAreShortenedAroundTheirFirstDifference(t *testing.T) {
	long := strings.Repeat("é", 40_000)
	d := Compare(shopWith([]string{"a"}, []string{long + "b" + long}), shopWith([]string{"a"}, []string{long + "c" + long}))[0]
	require.Len(t, d.Lines, 3)
	require.Contains(t, d.Lines[1], "éb")
	require.Contains(t, d.Lines[2], "éc")
	for _, line := range d.Lines {
		require.Less(t, len(line), maxLineBytes+100)
		require.True(t, utf8.ValidString(line))
	}
}

func TestLongListsAreComparedItemByItem(t *testing.T) {
	with := func(secrets ...string) Document {
		return FromProject(&domain.Project{Name: "shop", Settings: domain.ProjectSettings{Secrets: secrets}})
	}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("SECRET_%02d", i))
	}
	d := Compare(with(many...), with(many[1:]...))[0]
	require.Contains(t, d.Lines, "-SECRET_00")
	require.NotContains(t, strings.Join(d.Lines, "\n"), "-SECRET_01")
	d = Compare(with(many...), with("SECRET_00"))[0]
	require.Contains(t, d.Lines, " SECRET_00")
}
