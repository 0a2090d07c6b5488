package explain

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
)

// failedIn returns a machine on which a step failed, as an agent reports it.
func failedIn(name, step string, code int, line string) DeploymentMachine {
	detail := domain.StepEnded(step, code)
	if line != "" {
		detail += ": " + line
	}
	return DeploymentMachine{Name: name, State: "failed", Reason: "step-failed", Step: step, ExitCode: code, Detail: detail}
}

func TestFailuresAreGroupedByStepExitCodeAndLastLine(t *testing.T) {
	machines := []DeploymentMachine{
		{Name: "db-01", State: "succeeded"}, {Name: "db-02", State: "skipped", Reason: "held"},
		failedIn("web-00", "unpack", 28, "no space left"),
	}
	for i := 1; i <= 12; i++ {
		machines = append(machines, failedIn(fmt.Sprintf("web-%02d", i), "migrate", 3, "connection refused"))
	}
	machines = append(machines, failedIn("web-13", "migrate", 4, "connection refused"),
		failedIn("web-14", "migrate", 3, ""), failedIn("web-15", "check", 3, "connection refused"))
	var lines []string
	for _, g := range GroupFailures(machines) {
		lines = append(lines, g.String())
	}
	require.Equal(t, []string{
		`12 machines: step migrate, exit 3: "connection refused" — web-01, web-02, … 10 more`,
		`1 machine: step unpack, exit 28: "no space left" — web-00`,
		`1 machine: step migrate, exit 4: "connection refused" — web-13`,
		`1 machine: step migrate, exit 3 — web-14`,
		`1 machine: step check, exit 3: "connection refused" — web-15`,
	}, lines)
	require.Empty(t, GroupFailures(machines[:2]))
}

func TestLinesThatDifferOnlyInTheNameOfTheMachineAreOneGroup(t *testing.T) {
	group := func(lines map[string]string) (texts []string) {
		var machines []DeploymentMachine
		for _, name := range []string{"web-1", "web-2", "web-12"} {
			if line, given := lines[name]; given {
				machines = append(machines, failedIn(name, "unpack", 28, line))
			}
		}
		for _, g := range GroupFailures(machines) {
			texts = append(texts, g.String())
		}
		return texts
	}
	require.Equal(t, []string{`1 machine: step unpack, exit 28: "disk of web-1 full" — web-1`},
		group(map[string]string{"web-1": "disk of web-1 full"}), "a single machine keeps its line")
	require.Equal(t, []string{`3 machines: step unpack, exit 28: "disk of … full" — web-1, web-2, web-12`},
		group(map[string]string{"web-1": "disk of web-1 full", "web-2": "disk of web-2 full", "web-12": "disk of web-12 full"}))
	require.Equal(t, []string{`2 machines: step unpack, exit 28: "no route to db-1" — web-1, web-2`},
		group(map[string]string{"web-1": "no route to db-1", "web-2": "no route to db-1"}))
	require.Equal(t, []string{`2 machines: step unpack, exit 28: "no route to web-12" — web-1, web-2`},
		group(map[string]string{"web-1": "no route to web-12", "web-2": "no route to web-12"}),
		"a name inside a longer one is not replaced")
}

func TestFailuresWithoutAnExitCodeShowTheirDetailOrReason(t *testing.T) {
	for want, m := range map[string]DeploymentMachine{
		`1 machine: step "wait" exceeded its timeout of 5s — web-01`: {Reason: "timed-out", Step: "wait",
			Detail: `step "wait" exceeded its timeout of 5s`},
		"1 machine: the machine was unhealthy after the success — web-01": {Reason: "unhealthy"},
		"1 machine: lost: no result was reported in time — web-01":        {Reason: "no-end-reported", State: "lost"},
		`1 machine: step check, exit 2: "failed twice" — web-01`: {Reason: "step-failed", Step: "check", ExitCode: 2,
			Detail: "failed twice"}, // of an agent that words its details otherwise
		"1 machine: failed — web-01": {},
	} {
		m.Name = "web-01"
		if m.State == "" {
			m.State = "failed"
		}
		require.Equal(t, want, GroupFailures([]DeploymentMachine{m})[0].String())
	}
}

func TestDeploymentShowsStepAndExitCodeOfFailedPart(t *testing.T) {
	l := shop(t)
	d := l.Add("project/shop", domain.DeploymentQueued{Kind: domain.EnvironmentWide, Environment: "production",
		Release: "1.0"})
	l.Claim(d, "web-01")
	l.Add(domain.PartStream(d, "web-01"), domain.PartEnded{Project: "shop", State: domain.PartFailed, Session: session,
		Reason: domain.StepFailed, Step: "migrate", ExitCode: 3, Detail: domain.StepEnded("migrate", 3) + ": refused"})
	shown, _ := DeploymentOf(l.View, d, nil)
	require.Equal(t, []FailureGroup{{State: "failed", Reason: "step-failed", Step: "migrate", ExitCode: 3,
		Line: "refused", Machines: []string{"web-01"}}}, GroupFailures(shown.Machines))
}
