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

// lateness is how much later than its time a tick may come on a busy computer before the story calls it forgotten.
const lateness = 15 * time.Second

// story is a demo while it is told.
type story struct {
	*fleet
	config Config
	begun  time.Time
	join   string // the token that agents join with
	fault  error  // the first error of writing
}

// chapters are the story, in their order. Each is true by itself: what it says was looked at.
var chapters = []struct {
	title string
	tell  func(*story, context.Context) error
}{
	{"A server, three machines and a release", (*story).release},
	{"A new machine comes online, and gets the release within a tick", (*story).newcomer},
	{"A machine flaps, and is not deployed to twice", (*story).flap},
	{"A failing machine is retried, then left alone, while the others go on", (*story).failing},
	{"A rollout that failed half-way is held, not rolled back", (*story).halfFailed},
	{"One can ask why", (*story).ask},
	{"What it came to", (*story).sum},
}

func (s *story) tell(ctx context.Context) error {
	becomes := "is removed"
	if s.config.Keep {
		becomes = "stays"
	}
	s.write("drover demo: one server and its machines, all on this computer and over loopback.\n"+
		"All files are in %s, which %s at the end.\n"+
		"The server decides every %s here; 15s is usual. Lines with $ are commands, run as they are shown.\n", s.folder, becomes, s.config.Tick)
	for i, chapter := range chapters {
		s.write("\n%d. %s\n", i+1, chapter.title)
		if err := chapter.tell(s, ctx); err != nil {
			return s.told(ctx, chapter.title, err)
		}
		if s.fault != nil {
			return fmt.Errorf("tell the story: %w", s.fault)
		}
	}
	s.write("\nThe story is over after %s, and every sentence of it was looked at.\n", time.Since(s.begun).Round(time.Second))
	return s.fault
}

// told is why a chapter could not be told to its end. A program that has gone explains more than what it did not answer.
func (s *story) told(ctx context.Context, title string, err error) error {
	var unexpected *Unexpected
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.As(err, &unexpected):
		unexpected = &Unexpected{Expected: fmt.Sprintf("to tell of %q", title), Seen: err.Error()}
	}
	if gone := s.allRun(unexpected.Expected); gone != nil {
		return gone
	}
	return unexpected
}

func (s *story) write(format string, args ...any) {
	if _, err := fmt.Fprintf(s.config.Out, format, args...); err != nil && s.fault == nil {
		s.fault = err
	}
}

// say is a sentence of the story; it was looked at before.
func (s *story) say(format string, args ...any) { s.write("   "+format+"\n", args...) }

// do runs a command as it is shown, and returns what it printed. It must end with this exit code.
func (s *story) do(ctx context.Context, code int, args ...string) (string, error) {
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

// show runs a command and prints what it printed.
func (s *story) show(ctx context.Context, args ...string) (string, error) {
	printed, err := s.do(ctx, 0, args...)
	for line := range strings.Lines(printed) {
		s.write("     %s", line)
	}
	return printed, err
}

func (s *story) release(ctx context.Context) error {
	if err := s.startServer(ctx, s.config.Tick); err != nil {
		return err
	}
	if err := s.shareEnvironment(); err != nil {
		return err
	}
	log, err := os.Stat(s.path("server", "drover.db"))
	if err := expect(err == nil && log.Mode().IsRegular(), "the log in one SQLite file", "there is none: %v", err); err != nil {
		return err
	}
	s.say("A server runs at %s (process %d), with its log in one SQLite file.", s.client.Servers[0], s.processes[serverName].PID())
	if err := s.apply(ctx); err != nil {
		return err
	}
	if s.join, err = s.do(ctx, 0, "token", "create", "--join", "--uses", "4", "--environment", environment); err != nil {
		return err
	}
	first := []string{"web-01", "web-02", "web-03"}
	for _, machine := range first {
		if err := s.on(ctx, machine); err != nil {
			return err
		}
	}
	d, err := s.deploy(ctx, 0, "1.0")
	if err != nil {
		return err
	}
	if err := s.stands(d, "succeeded", "3 succeeded"); err != nil {
		return err
	}
	if err := s.serve(ctx, "1.0", first...); err != nil {
		return err
	}
	s.say("Deployment #%s went to production: %s. Each machine serves the page that its steps wrote, such as", d.Position, counted(d))
	s.say("%s: %q", s.site("web-01", "index.html"), s.page("web-01"))
	return nil
}

// apply brings the example into the log.
func (s *story) apply(ctx context.Context) error {
	if _, err := s.do(ctx, 0, "apply", "-f", s.path("site.yaml")); err != nil {
		return err
	}
	var p explain.Project
	if _, err := s.client.Get(ctx, client.Path("projects", project), nil, &p); err != nil {
		return err
	}
	if err := expect(p.Enabled && slices.Equal(p.Triggers, []string{"joins"}), "project site with its trigger joins", "its triggers are %v", p.Triggers); err != nil {
		return err
	}
	s.say("Project %s is in the log. Its trigger asks for every machine that becomes available in %s.", project, environment)
	return nil
}

// on starts the agent of a machine and waits until the machine is online.
func (s *story) on(ctx context.Context, machine string) error {
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

// off stops the agents of machines in order, as a service manager does, and waits until the machines are offline.
func (s *story) off(ctx context.Context, machines ...string) error {
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

func (s *story) presence(ctx context.Context, machine, presence string) error {
	return s.until(ctx, machine+" to be "+presence, func() (bool, string, error) {
		m, err := s.machine(ctx, machine)
		return m.Presence == presence, "it was " + m.Presence, err
	})
}

// deploy makes a release and deploys it; the command must end with this exit code.
func (s *story) deploy(ctx context.Context, code int, release string) (explain.Deployment, error) {
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

func (s *story) stands(d explain.Deployment, state, parts string) error {
	return expect(d.State == state && counted(d) == parts, fmt.Sprintf("the deployment of %s to be %s: %s", d.Release, state, parts), "it is %s: %s", d.State, counted(d))
}

// serve waits until machines have a release: in the log, and on their disk.
func (s *story) serve(ctx context.Context, release string, machines ...string) error {
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

func (s *story) newcomer(ctx context.Context) error {
	if err := s.on(ctx, "web-04"); err != nil {
		return err
	}
	if err := s.serve(ctx, "1.0", "web-04"); err != nil {
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
	if err := expect(len(all) == 1 && slices.Contains(all[0].Cause.Events, came.ID), "one automatic deployment to web-04, because it came online",
		"there are %d: %+v", len(all), all); err != nil {
		return err
	}
	took := all[0].CreatedAt.Sub(came.Time)
	if err := expect(took <= s.config.Tick+lateness, "web-04's deployment to be queued within a tick", "it took %s", seconds(took)); err != nil {
		return err
	}
	s.say("It came online (#%s), and %s later the tick queued release 1.0 for it (#%s). Nobody asked for that.", came.Position, seconds(took), all[0].Position)
	if took > s.config.Tick {
		s.say("That is more than the %s between two ticks: this computer is busy.", s.config.Tick)
	}
	s.say("web-04 serves its page: %q", s.page("web-04"))
	return nil
}

func (s *story) event(ctx context.Context, machine, typeName string) (explain.Event, error) {
	e, ok, err := s.last(ctx, machine, typeName)
	if err == nil {
		err = expect(ok, "a "+typeName+" of "+machine, "the log has none")
	}
	return e, err
}

// seconds is a duration as the story tells it.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

// twoTicks waits until two ticks have ended, of which the second saw all that is in the log now.
func (s *story) twoTicks(ctx context.Context) error {
	before, err := s.ticks(ctx)
	if err != nil {
		return err
	}
	return s.until(ctx, "two more ticks", func() (bool, string, error) {
		now, err := s.ticks(ctx)
		return now >= before+2, fmt.Sprintf("there were %d", now-before), err
	})
}

func (s *story) flap(ctx context.Context) error {
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
	if err := expect(strings.Contains(string(went.Data), `"silent"`), "web-02 to be offline for its silence", "the event says %s", went.Data); err != nil {
		return err
	}
	s.say("It was silent for too long, so web-02 is offline (#%s). Its agent is started again.", went.Position)
	if err := s.on(ctx, "web-02"); err != nil {
		return err
	}
	came, err := s.event(ctx, "web-02", "MachineCameOnline")
	if err != nil {
		return err
	}
	if err := s.twoTicks(ctx); err != nil {
		return err
	}
	if err := s.untouched(ctx); err != nil {
		return err
	}
	s.say("Two ticks after it came back (#%s) nothing was deployed to it: it is up to date. Its steps ran once, says", came.Position)
	s.say("%s", s.site("web-02", "attempts.txt"))
	return nil
}

// untouched says that web-02 was deployed to by the first deployment alone.
func (s *story) untouched(ctx context.Context) error {
	if err := s.attempts("web-02", "1.0"); err != nil {
		return err
	}
	all, err := s.automatic(ctx, "web-02", "1.0")
	if err == nil {
		err = expect(len(all) == 0, "no automatic deployment to web-02", "there are %d", len(all))
	}
	if err != nil {
		return err
	}
	why, err := s.why(ctx, "web-02")
	if err != nil {
		return err
	}
	return expect(why.Reason == "up-to-date", "web-02 to be up to date", "it is %s: %s", why.Verdict, why.Sentence)
}

// attempts says that the steps on a machine ran for these releases in this order, and never twice for one deployment.
func (s *story) attempts(machine, releases string) error {
	tried, err := s.tried(machine)
	if err != nil {
		return err
	}
	if err := expect(tried == releases, "the steps on "+machine+" to have run for "+releases, "they ran for %s", tried); err != nil {
		return err
	}
	all, err := s.notes(machine)
	seen := map[string]bool{}
	for _, n := range all {
		if seen[n.deployment] {
			return expect(false, "each deployment to run once on "+machine, "%s ran twice", n.deployment)
		}
		seen[n.deployment] = true
	}
	return err
}

// fill makes the disk of a machine full for its steps; empty makes room.
func (s *story) fill(machine string) error {
	return os.WriteFile(s.site(machine, "disk-is-full"), nil, 0o600)
}

func (s *story) empty(machine string) error { return os.Remove(s.site(machine, "disk-is-full")) }

func (s *story) failing(ctx context.Context) error {
	if err := s.off(ctx, "web-03", "web-04"); err != nil {
		return err
	}
	d, err := s.deploy(ctx, 0, "1.1")
	if err != nil {
		return err
	}
	if err := s.stands(d, "succeeded", "2 succeeded, 2 skipped"); err != nil {
		return err
	}
	s.say("Deployment #%s went to those that were there: %s. What is missed is not forgotten:", d.Position, counted(d))
	if err := s.fill("web-03"); err != nil {
		return err
	}
	s.say("web-03 comes back with a full disk.")
	if err := s.on(ctx, "web-03"); err != nil {
		return err
	}
	if err := s.failsOnce(ctx); err != nil {
		return err
	}
	if err := s.on(ctx, "web-04"); err != nil {
		return err
	}
	if err := s.serve(ctx, "1.1", "web-04"); err != nil {
		return err
	}
	s.say("web-04 has and serves 1.1: one failing machine stops no other.")
	if err := s.leftAlone(ctx); err != nil {
		return err
	}
	return s.repair(ctx)
}

// failsOnce waits for the first failure on web-03.
func (s *story) failsOnce(ctx context.Context) error {
	var failed *explain.DeploymentMachine
	err := s.until(ctx, "1.1 to fail on web-03", func() (bool, string, error) {
		all, err := s.automatic(ctx, "web-03", "1.1")
		if len(all) > 0 {
			failed = part(all[0], "web-03")
		}
		if failed == nil {
			return false, "nothing was tried there", err
		}
		return failed.State == "failed", "it was " + failed.State, err
	})
	if err == nil {
		s.say("The tick gave it release 1.1, and that failed: %s.", cmp.Or(failed.Detail, failed.Reason))
	}
	return err
}

// leftAlone waits until web-03 is given up, and looks whether it really is.
func (s *story) leftAlone(ctx context.Context) error {
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
	if err := s.attempts("web-03", "1.0 1.1 1.1 1.1"); err != nil {
		return err
	}
	all, err := s.automatic(ctx, "web-03", "1.1")
	if err != nil {
		return err
	}
	if err := expect(len(all) == 3, "three automatic attempts on web-03", "there were %d", len(all)); err != nil {
		return err
	}
	s.say("web-03 was tried three times, the second %s after the first and the third %s after the second, then left alone",
		seconds(all[1].CreatedAt.Sub(all[0].CreatedAt)), seconds(all[2].CreatedAt.Sub(all[1].CreatedAt)))
	s.say("(retries-exhausted): two ticks later there is no fourth attempt. It waits for a person, or for another release.")
	return nil
}

// repair is what a person does about web-03.
func (s *story) repair(ctx context.Context) error {
	if err := s.empty("web-03"); err != nil {
		return err
	}
	s.say("Somebody makes room on web-03, and says so:")
	if _, err := s.do(ctx, 0, "retry", "web-03", "--project", project, "--wait", "--timeout", "1m"); err != nil {
		return err
	}
	if err := s.serve(ctx, "1.1", "web-03"); err != nil {
		return err
	}
	s.say("web-03 has and serves 1.1.")
	return nil
}

func (s *story) halfFailed(ctx context.Context) error {
	if err := s.fill("web-02"); err != nil {
		return err
	}
	s.say("This time the disk of web-02 is full when a person deploys.")
	d, err := s.deploy(ctx, 3, "1.2")
	if err != nil {
		return err
	}
	if err := s.stands(d, "failed", "3 succeeded, 1 failed"); err != nil {
		return err
	}
	s.say("Deployment #%s failed: %s.", d.Position, counted(d))
	if err := s.tempt(ctx); err != nil {
		return err
	}
	if err := s.stillSo(ctx, d); err != nil {
		return err
	}
	s.say("Two ticks later nothing was deployed. %s wants 1.1, for only a success changes that; but web-01, web-03 and web-04", environment)
	s.say("are held at 1.2 and not rolled back, and web-02 is held as it is. What becomes of it is for a person to say.")
	return nil
}

// tempt gives automation every reason to act: the failed machine could be repaired, and one of the others comes back.
func (s *story) tempt(ctx context.Context) error {
	if err := s.empty("web-02"); err != nil {
		return err
	}
	s.say("web-02 has room again, and web-01 is restarted: automation could repair the one, and roll back the other.")
	if err := s.off(ctx, "web-01"); err != nil {
		return err
	}
	if err := s.on(ctx, "web-01"); err != nil {
		return err
	}
	return s.twoTicks(ctx)
}

// stillSo says that nothing has happened since a deployment, and why.
func (s *story) stillSo(ctx context.Context, d explain.Deployment) error {
	all, err := s.deployments(ctx)
	if err != nil {
		return err
	}
	if err := expect(len(all) > 0 && all[0].ID == d.ID, "no deployment after the one that failed", "there is one of %s", all[0].Release); err != nil {
		return err
	}
	var p explain.Project
	if _, err := s.client.Get(ctx, client.Path("projects", project), nil, &p); err != nil {
		return err
	}
	if err := expect(len(p.Environments) == 1 && p.Environments[0].Release == "1.1", "production to want 1.1", "it stands at %+v", p.Environments); err != nil {
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
			fmt.Sprintf("%s to be held with %s", machine, has), "it has %s, should have %s (held: %t) and serves %s", installed(m), wants, held, s.page(machine)); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) ask(ctx context.Context) error {
	answer, err := s.show(ctx, "why", "web-02", "--project", project)
	if err != nil {
		return err
	}
	for _, words := range []string{"wanted   1.1\n", "actual   1.1 (dirty)\n", "verdict  wait: held\n", "exit code 28"} {
		if err := expect(strings.Contains(answer, words), fmt.Sprintf("%q in the answer", strings.TrimSpace(words)), "it is not in it"); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) sum(ctx context.Context) error {
	if _, err := s.show(ctx, "get", "machines", "-o", "table"); err != nil {
		return err
	}
	total := 0
	for machine, releases := range map[string]string{
		"web-01": "1.0 1.1 1.2", "web-02": "1.0 1.1 1.2", "web-03": "1.0 1.1 1.1 1.1 1.1 1.2", "web-04": "1.0 1.1 1.2",
	} {
		if err := s.attempts(machine, releases); err != nil {
			return err
		}
		total += len(strings.Fields(releases))
	}
	if _, err := s.show(ctx, "eventlog", "verify"); err != nil {
		return err
	}
	s.say("The steps ran %d times on four machines, as often as this story says, and never twice for one deployment.", total)
	return s.allRun("server and agents to run still")
}
