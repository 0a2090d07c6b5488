package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/harness"
)

// tickDelay is how late a tick can be on a busy computer before the script reports it as missing.
const tickDelay = 15 * time.Second

// script is a running demo.
type script struct {
	*fleet
	config Config
	begun  time.Time
	join   string // the token that agents join with
	fault  error  // the first error from writing the output
}

// sections are the parts of the script, in order. Each one verifies its own statements.
var sections = []struct {
	title string
	run   func(*script, context.Context) error
}{
	{"A server, three machines and a release", (*script).release},
	{"A new machine comes online and gets the release within a tick", (*script).newMachine},
	{"A machine flaps and is not deployed to twice", (*script).flap},
	{"A failing machine is retried and then left alone, while the others continue", (*script).failing},
	{"A rollout that fails on one machine is held, not rolled back", (*script).partialFailure},
	{"drover why explains a machine", (*script).explainHold},
	{"Summary", (*script).summary},
}

func (s *script) run(ctx context.Context) error {
	fate := "is removed"
	if s.config.Keep {
		fate = "stays"
	}
	s.write("drover demo: one server and its machines, all on this computer, connected over loopback.\n"+
		"All files are in %s, which %s at the end.\n"+
		"The server decides every %s here; the default is 15s. Lines with $ are commands, run exactly as shown.\n",
		s.folder, fate, s.config.Tick)
	for i, section := range sections {
		s.write("\n%d. %s\n", i+1, section.title)
		if err := section.run(s, ctx); err != nil {
			return s.failure(ctx, section.title, err)
		}
		if s.fault != nil {
			return fmt.Errorf("write the output of the demo: %w", s.fault)
		}
	}
	s.write("\nThe demo is complete after %s, and every statement was verified.\n", time.Since(s.begun).Round(time.Second))
	return s.fault
}

// failure returns why a section failed. If a process has ended, that is the reason, because it explains later errors.
func (s *script) failure(ctx context.Context, title string, err error) error {
	var unexpected *Unexpected
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.As(err, &unexpected):
		unexpected = &Unexpected{Expected: fmt.Sprintf("to complete the section %q", title), Seen: err.Error()}
	}
	if ended := s.allRun(unexpected.Expected); ended != nil {
		return ended
	}
	return unexpected
}

func (s *script) write(format string, args ...any) {
	if _, err := fmt.Fprintf(s.config.Out, format, args...); err != nil && s.fault == nil {
		s.fault = err
	}
}

// say prints a statement. The caller has verified it.
func (s *script) say(format string, args ...any) { s.write("   "+format+"\n", args...) }

// do prints and runs a command, and returns its output. The command must end with the given exit code.
func (s *script) do(ctx context.Context, code int, args ...string) (string, error) {
	shown := make([]string, 0, len(args))
	for _, arg := range args {
		shown = append(shown, quoted(arg))
	}
	line := "drover " + strings.Join(shown, " ")
	s.write("   $ %s\n", line)
	result, err := s.host.Run(ctx, "", args...)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", err
	}
	return result.Stdout, expect(result.Code == code, fmt.Sprintf("`%s` to end with exit code %d", line, code),
		"it ended with %d: %s", result.Code, strings.TrimSpace(result.Stderr))
}

// show runs a command and prints its output.
func (s *script) show(ctx context.Context, args ...string) (string, error) {
	printed, err := s.do(ctx, 0, args...)
	for line := range strings.Lines(printed) {
		s.write("     %s", line)
	}
	return printed, err
}

func (s *script) release(ctx context.Context) error {
	if err := s.startServer(ctx, s.config.Tick); err != nil {
		return err
	}
	if err := s.shareEnvironment(); err != nil {
		return err
	}
	log, err := os.Stat(s.path("server", "drover.db"))
	if err := expect(err == nil && log.Mode().IsRegular(), "the log in one SQLite file",
		"the file is missing: %v", err); err != nil {
		return err
	}
	s.say("A server runs at %s (process %d) with its log in one SQLite file.", s.client.Servers[0],
		s.processes[serverName].PID())
	if err := s.apply(ctx); err != nil {
		return err
	}
	if s.join, err = s.do(ctx, 0, "token", "create", "--join", "--uses", "4", "--environment", environment); err != nil {
		return err
	}
	first := []string{"web-01", "web-02", "web-03"}
	for _, machine := range first {
		if err := s.bringOnline(ctx, machine); err != nil {
			return err
		}
	}
	d, err := s.deploy(ctx, 0, "1.0")
	if err != nil {
		return err
	}
	if err := s.checkDeployment(d, "succeeded", "3 succeeded"); err != nil {
		return err
	}
	if err := s.waitServing(ctx, "1.0", first...); err != nil {
		return err
	}
	s.say("Deployment #%s to production: %s. Each machine serves the page that its steps wrote, for example",
		d.Position, counted(d))
	s.say("%s: %q", s.site("web-01", "index.html"), s.page("web-01"))
	return nil
}

// apply applies the example.
func (s *script) apply(ctx context.Context) error {
	if _, err := s.do(ctx, 0, "apply", "-f", s.path("site.yaml")); err != nil {
		return err
	}
	var p explain.Project
	if _, err := s.client.Get(ctx, client.Path("projects", project), nil, &p); err != nil {
		return err
	}
	if err := expect(p.Enabled && slices.Equal(p.Triggers, []string{"joins"}), "project site with its trigger joins",
		"its triggers were %v", p.Triggers); err != nil {
		return err
	}
	s.say("Project %s is in the log. Its trigger requests a deployment to every machine that becomes available in %s.",
		project, environment)
	return nil
}

// bringOnline starts the agent of a machine and waits until the machine is online.
func (s *script) bringOnline(ctx context.Context, machine string) error {
	p, err := s.startAgent(machine, strings.TrimSpace(s.join))
	if err != nil {
		return err
	}
	if err := s.presence(ctx, machine, "online"); err != nil {
		return err
	}
	s.say("%s is online: its agent is process %d.", machine, p.PID())
	return nil
}

// takeOffline stops the agents of machines gracefully and waits until the machines are offline.
func (s *script) takeOffline(ctx context.Context, machines ...string) error {
	var all []*harness.Process
	for _, machine := range machines {
		all = append(all, s.processes[machine])
	}
	harness.Stop(graceful, all...)
	for _, machine := range machines {
		if err := s.presence(ctx, machine, "offline"); err != nil {
			return err
		}
		s.say("%s is offline: its agent was stopped.", machine)
	}
	return nil
}

func (s *script) presence(ctx context.Context, machine, presence string) error {
	return s.until(ctx, machine+" to be "+presence, func() (bool, string, error) {
		m, err := s.machine(ctx, machine)
		return m.Presence == presence, "it was " + m.Presence, err
	})
}

// deploy creates a release and deploys it. The deploy command must end with the given exit code.
func (s *script) deploy(ctx context.Context, code int, release string) (explain.Deployment, error) {
	if _, err := s.do(ctx, 0, "release", "create", project, release); err != nil {
		return explain.Deployment{}, err
	}
	id, err := s.do(ctx, code, "deploy", project, release, "--to", environment, "--wait", "--timeout", "1m")
	if err != nil {
		return explain.Deployment{}, err
	}
	var d explain.Deployment
	_, err = s.client.Get(ctx, client.Path("deployments", strings.TrimSpace(id)), nil, &d)
	return d, err
}

func (s *script) checkDeployment(d explain.Deployment, state, parts string) error {
	return expect(d.State == state && counted(d) == parts, fmt.Sprintf("the deployment of %s to be %s: %s", d.Release,
		state, parts), "it was %s: %s", d.State, counted(d))
}

// waitServing waits until machines have a release, both according to the log and on their disks.
func (s *script) waitServing(ctx context.Context, release string, machines ...string) error {
	for _, machine := range machines {
		err := s.until(ctx, machine+" to have and serve "+release, func() (bool, string, error) {
			m, err := s.machine(ctx, machine)
			has, page := installed(m), s.page(machine)
			return has == release && page == release+" on "+machine, "it had " + has + " and served " + page, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *script) newMachine(ctx context.Context) error {
	if err := s.bringOnline(ctx, "web-04"); err != nil {
		return err
	}
	if err := s.waitServing(ctx, "1.0", "web-04"); err != nil {
		return err
	}
	came, err := s.event(ctx, "web-04", "MachineCameOnline")
	if err != nil {
		return err
	}
	all, err := s.automatic(ctx, "web-04", "1.0")
	if err != nil {
		return err
	}
	if err := expect(len(all) == 1 && slices.Contains(all[0].Cause.Events, came.ID),
		"one automatic deployment to web-04, because it came online", "there were %d: %+v", len(all), all); err != nil {
		return err
	}
	took := all[0].CreatedAt.Sub(came.Time)
	if err := expect(took <= s.config.Tick+tickDelay, "web-04's deployment to be queued within a tick", "it took %s",
		seconds(took)); err != nil {
		return err
	}
	s.say("It came online (#%s), and %s later a tick queued release 1.0 for it (#%s), without any command.", came.Position,
		seconds(took), all[0].Position)
	if took > s.config.Tick {
		s.say("That is longer than the tick interval of %s, because this computer is busy.", s.config.Tick)
	}
	s.say("web-04 serves its page: %q", s.page("web-04"))
	return nil
}

func (s *script) event(ctx context.Context, machine, typeName string) (explain.Event, error) {
	e, ok, err := s.last(ctx, machine, typeName)
	if err == nil {
		err = expect(ok, "an event "+typeName+" of "+machine, "the log did not contain one")
	}
	return e, err
}

// seconds formats a duration in seconds with one decimal.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

// twoTicks waits until two ticks have ended. The second one includes all events that are in the log now.
func (s *script) twoTicks(ctx context.Context) error {
	before, err := s.ticks(ctx)
	if err != nil {
		return err
	}
	return s.until(ctx, "two more ticks", func() (bool, string, error) {
		now, err := s.ticks(ctx)
		return now >= before+2, fmt.Sprintf("there were %d", now-before), err
	})
}

func (s *script) flap(ctx context.Context) error {
	agent := s.processes["web-02"]
	agent.Kill()
	s.say("The agent of web-02 is killed: kill -9 %d.", agent.PID())
	if err := s.presence(ctx, "web-02", "offline"); err != nil {
		return err
	}
	went, err := s.event(ctx, "web-02", "MachineWentOffline")
	if err != nil {
		return err
	}
	if err := expect(strings.Contains(string(went.Data), `"silent"`), "web-02 to be offline because of missing heartbeats",
		"the event was %s", went.Data); err != nil {
		return err
	}
	s.say("It sent no heartbeats for too long, so web-02 is offline (#%s). The demo restarts its agent.", went.Position)
	if err := s.bringOnline(ctx, "web-02"); err != nil {
		return err
	}
	came, err := s.event(ctx, "web-02", "MachineCameOnline")
	if err != nil {
		return err
	}
	if err := s.twoTicks(ctx); err != nil {
		return err
	}
	if err := s.checkUntouched(ctx); err != nil {
		return err
	}
	s.say("Two ticks after it came back (#%s), nothing was deployed to it: it is up to date. Its steps ran once, "+
		"according to", came.Position)
	s.say("%s", s.site("web-02", "attempts.txt"))
	return nil
}

// checkUntouched verifies that only the first deployment went to web-02.
func (s *script) checkUntouched(ctx context.Context) error {
	if err := s.checkAttempts("web-02", "1.0"); err != nil {
		return err
	}
	all, err := s.automatic(ctx, "web-02", "1.0")
	if err == nil {
		err = expect(len(all) == 0, "no automatic deployment to web-02", "there were %d", len(all))
	}
	if err != nil {
		return err
	}
	why, err := s.why(ctx, "web-02")
	if err != nil {
		return err
	}
	return expect(why.Reason == "up-to-date", "web-02 to be up to date", "the verdict was %s: %s",
		why.Verdict, why.Sentence)
}

// checkAttempts verifies that the steps on a machine ran for these releases in this order, and at most once for each
// deployment.
func (s *script) checkAttempts(machine, releases string) error {
	tried, err := s.tried(machine)
	if err != nil {
		return err
	}
	if err := expect(tried == releases, "the steps on "+machine+" to have run for "+releases,
		"they ran for %s", tried); err != nil {
		return err
	}
	all, err := s.attempts(machine)
	seen := map[string]bool{}
	for _, a := range all {
		if seen[a.deployment] {
			return expect(false, "each deployment to run once on "+machine, "%s ran twice", a.deployment)
		}
		seen[a.deployment] = true
	}
	return err
}

// fill makes the steps of a machine fail as if its disk were full. empty undoes that.
func (s *script) fill(machine string) error {
	return os.WriteFile(s.site(machine, "disk-is-full"), nil, 0o600)
}

func (s *script) empty(machine string) error { return os.Remove(s.site(machine, "disk-is-full")) }

func (s *script) failing(ctx context.Context) error {
	if err := s.takeOffline(ctx, "web-03", "web-04"); err != nil {
		return err
	}
	d, err := s.deploy(ctx, 0, "1.1")
	if err != nil {
		return err
	}
	if err := s.checkDeployment(d, "succeeded", "2 succeeded, 2 skipped"); err != nil {
		return err
	}
	s.say("Deployment #%s went to the machines that were online: %s. The skipped machines get it later:",
		d.Position, counted(d))
	if err := s.fill("web-03"); err != nil {
		return err
	}
	s.say("web-03 comes back with a full disk.")
	if err := s.bringOnline(ctx, "web-03"); err != nil {
		return err
	}
	if err := s.failsOnce(ctx); err != nil {
		return err
	}
	if err := s.bringOnline(ctx, "web-04"); err != nil {
		return err
	}
	if err := s.waitServing(ctx, "1.1", "web-04"); err != nil {
		return err
	}
	s.say("web-04 has and serves 1.1: a failing machine does not stop the others.")
	if err := s.exhausted(ctx); err != nil {
		return err
	}
	return s.repair(ctx)
}

// failsOnce waits for the first failure on web-03.
func (s *script) failsOnce(ctx context.Context) error {
	var failed *explain.DeploymentMachine
	err := s.until(ctx, "1.1 to fail on web-03", func() (bool, string, error) {
		all, err := s.automatic(ctx, "web-03", "1.1")
		if len(all) > 0 {
			failed = part(all[0], "web-03")
		}
		if failed == nil {
			return false, "no deployment to it was queued", err
		}
		return failed.State == "failed", "it was " + failed.State, err
	})
	if err == nil {
		s.say("A tick deployed release 1.1 to it, which failed: %s.", cmp.Or(failed.Detail, failed.Reason))
	}
	return err
}

// exhausted waits until web-03 has no retries left, and verifies that there is no further attempt.
func (s *script) exhausted(ctx context.Context) error {
	err := s.until(ctx, "web-03 to be left alone", func() (bool, string, error) {
		why, err := s.why(ctx, "web-03")
		return why.Reason == "retries-exhausted", "it was " + why.Verdict + ": " + why.Reason, err
	})
	if err != nil {
		return err
	}
	if err := s.twoTicks(ctx); err != nil {
		return err
	}
	if err := s.checkAttempts("web-03", "1.0 1.1 1.1 1.1"); err != nil {
		return err
	}
	all, err := s.automatic(ctx, "web-03", "1.1")
	if err != nil {
		return err
	}
	if err := expect(len(all) == 3, "three automatic attempts on web-03", "there were %d", len(all)); err != nil {
		return err
	}
	s.say("web-03 was tried three times, the second time after %s and the third time after another %s, and then left "+
		"alone", seconds(all[1].CreatedAt.Sub(all[0].CreatedAt)), seconds(all[2].CreatedAt.Sub(all[1].CreatedAt)))
	s.say("(retries-exhausted): two ticks later there is no fourth attempt. It waits for a person or for another release.")
	return nil
}

// repair frees disk space on web-03 and retries, as an operator would.
func (s *script) repair(ctx context.Context) error {
	if err := s.empty("web-03"); err != nil {
		return err
	}
	s.say("An operator frees disk space on web-03 and retries:")
	if _, err := s.do(ctx, 0, "retry", "web-03", "--project", project, "--wait", "--timeout", "1m"); err != nil {
		return err
	}
	if err := s.waitServing(ctx, "1.1", "web-03"); err != nil {
		return err
	}
	s.say("web-03 has and serves 1.1.")
	return nil
}

func (s *script) partialFailure(ctx context.Context) error {
	if err := s.fill("web-02"); err != nil {
		return err
	}
	s.say("This time the disk of web-02 is full when an operator deploys.")
	d, err := s.deploy(ctx, 3, "1.2")
	if err != nil {
		return err
	}
	if err := s.checkDeployment(d, "failed", "3 succeeded, 1 failed"); err != nil {
		return err
	}
	s.say("Deployment #%s failed: %s.", d.Position, counted(d))
	if err := s.provoke(ctx); err != nil {
		return err
	}
	if err := s.checkUnchanged(ctx, d); err != nil {
		return err
	}
	s.say("Two ticks later, nothing was deployed. Environment %s still wants 1.1, because only a success changes that. "+
		"But web-01,", environment)
	s.say("web-03 and web-04 are held at 1.2, not rolled back, and web-02 is held at its current state. The operator " +
		"decides")
	s.say("what happens next.")
	return nil
}

// provoke creates situations in which automation could act: the failed machine could be repaired, and a successful one
// reconnects.
func (s *script) provoke(ctx context.Context) error {
	if err := s.empty("web-02"); err != nil {
		return err
	}
	s.say("web-02 has free disk space again, and web-01 restarts: automation could now repair web-02 and roll back " +
		"web-01.")
	if err := s.takeOffline(ctx, "web-01"); err != nil {
		return err
	}
	if err := s.bringOnline(ctx, "web-01"); err != nil {
		return err
	}
	return s.twoTicks(ctx)
}

// checkUnchanged verifies that nothing was deployed after a deployment, and that all machines are held.
func (s *script) checkUnchanged(ctx context.Context, d explain.Deployment) error {
	all, err := s.deployments(ctx)
	if err != nil {
		return err
	}
	if err := expect(len(all) > 0 && all[0].ID == d.ID, "no deployment after the failed one", "there was one of %s",
		all[0].Release); err != nil {
		return err
	}
	var p explain.Project
	if _, err := s.client.Get(ctx, client.Path("projects", project), nil, &p); err != nil {
		return err
	}
	if err := expect(len(p.Environments) == 1 && p.Environments[0].Release == "1.1", "production to want 1.1",
		"its state was %+v", p.Environments); err != nil {
		return err
	}
	for machine, has := range map[string]string{"web-01": "1.2", "web-02": "1.1*", "web-03": "1.2", "web-04": "1.2"} {
		m, err := s.machine(ctx, machine)
		if err != nil {
			return err
		}
		release := strings.TrimSuffix(has, "*")
		wants, held := wanted(m)
		if err := expect(installed(m) == has && held && wants == release && s.page(machine) == release+" on "+machine,
			fmt.Sprintf("%s to be held with %s", machine, has), "it had %s, should have had %s (held: %t) and served %s",
			installed(m), wants, held, s.page(machine)); err != nil {
			return err
		}
	}
	return nil
}

func (s *script) explainHold(ctx context.Context) error {
	answer, err := s.show(ctx, "why", "web-02", "--project", project)
	if err != nil {
		return err
	}
	for _, words := range []string{"wanted   1.1\n", "actual   1.1 (dirty)\n", "verdict  wait: held\n", "exit code 28"} {
		if err := expect(strings.Contains(answer, words), fmt.Sprintf("%q in the answer", strings.TrimSpace(words)),
			"the answer did not contain it"); err != nil {
			return err
		}
	}
	return nil
}

func (s *script) summary(ctx context.Context) error {
	if _, err := s.show(ctx, "get", "machines", "-o", "table"); err != nil {
		return err
	}
	total := 0
	for machine, releases := range map[string]string{
		"web-01": "1.0 1.1 1.2", "web-02": "1.0 1.1 1.2", "web-03": "1.0 1.1 1.1 1.1 1.1 1.2", "web-04": "1.0 1.1 1.2",
	} {
		if err := s.checkAttempts(machine, releases); err != nil {
			return err
		}
		total += len(strings.Fields(releases))
	}
	if _, err := s.show(ctx, "eventlog", "verify"); err != nil {
		return err
	}
	s.say("The steps ran %d times on four machines, as described above, and never twice for one deployment.", total)
	return s.allRun("server and agents to be still running")
}
