package faults

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// TestStepThatRunsTwiceIsCounted runs the script of the project a second time for one part.
func TestStepThatRunsTwiceIsCounted(t *testing.T) {
	c := &cluster{t: t, ran: t.TempDir() + "/ran"}
	run := func(deployment, machine string) {
		step := exec.Command("/bin/sh", "-c", script(t))
		step.Env = append(os.Environ(), "RAN="+c.ran, "DROVER_DEPLOYMENT="+deployment, "DROVER_MACHINE="+machine,
			"DROVER_RELEASE=1.0")
		out, err := step.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	run("one", "m-00")
	run("one", "m-01")
	run("two", "m-00")
	require.Empty(t, repeatedRuns(c.lines()))
	run("one", "m-01")
	require.Equal(t, []string{"part/one/m-01 ran twice"}, repeatedRuns(c.lines()))
	lines := c.lines()
	lines[1], lines[4] = lines[4], lines[1] // both parts begin before one ends
	require.Contains(t, strings.Join(repeatedRuns(lines), "\n"), "ended while")
}

// script returns the script of the project's step.
func script(t *testing.T) string {
	for _, text := range strings.Split(shop, "\n---\n") {
		var document struct {
			Kind string
			Spec struct{ Steps []struct{ Run string } }
		}
		require.NoError(t, yaml.Unmarshal([]byte(text), &document))
		if document.Kind == "Project" {
			return document.Spec.Steps[0].Run
		}
	}
	t.Fatal("the configuration has no project")
	return ""
}

// TestLostAcknowledgedCommandIsCounted deletes the newest event from a real database.
func TestLostAcknowledgedCommandIsCounted(t *testing.T) {
	skipIfShort(t)
	c := newCluster(t, clusterConfig{servers: 1})
	c.apply(shop)
	p := &users{c: c}
	random := rand.New(rand.NewPCG(1, 1))
	for range 3 {
		p.release(random, 1)
	}
	require.Empty(t, lostCommands(p.commands, c.events()))
	c.pg.Exec(t,
		`ALTER TABLE drover.events DISABLE TRIGGER ALL;
			DELETE FROM drover.events WHERE position = (SELECT max(position) FROM drover.events)`)
	require.Len(t, lostCommands(p.commands, c.events()), 1)
}
