package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/droverhq/drover/agent/output"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

// DefaultGrace is the time between SIGTERM and SIGKILL if the part does not specify one.
const DefaultGrace = 5 * time.Second

// Part is one machine's share of a deployment, ready to run.
type Part struct {
	Work client.Work
	// Folder belongs to the part; Run creates it. It contains the scripts. Steps run in its subfolder "work" unless
	// they specify a folder.
	Folder string
	// SecretsFile contains the secrets that Work requires. All its values are masked.
	SecretsFile string
	// Masked contains further values to mask.
	Masked []string
	// Inherit is the environment of the agent as "KEY=VALUE"; nil means that of this process. Steps get only the
	// variables that Inherited names.
	Inherit []string
	// PassEnv names further variables of Inherit that steps get.
	PassEnv []string
	// Output receives the output of the steps with secrets masked. Its errors are ignored.
	Output io.Writer
	// Starting, if set, is called with each step's process group before the first line of the script runs. If it
	// returns an error, the script does not run.
	Starting func(step string, group Group) error
	// Stopping, when closed, ends the part after the running attempt of a step.
	Stopping <-chan struct{}
	// Kill, when it is asked, ends the part as after a timeout of the running step; nil: nobody can ask.
	Kill *Kill
	// Grace is the time between SIGTERM and SIGKILL; 0 means DefaultGrace.
	Grace time.Duration
}

// Run runs the part and returns how it ended. When ctx is done, Run kills the running step immediately, and the part
// ends as failed (interrupted).
func (p Part) Run(ctx context.Context) client.End {
	r := runner{Part: p}
	if p.Grace <= 0 {
		r.Grace = DefaultGrace
	}
	end := r.run(ctx)
	end.Deployment = p.Work.Deployment
	end.Detail = OneLine(end.Detail)
	return end
}

// InterruptedEnd returns the end of a part whose outcome is unknown to the agent.
func InterruptedEnd(deployment, step, detail string) client.End {
	return client.End{
		Deployment: deployment,
		State:      domain.PartFailed,
		Reason:     domain.AgentInterrupted,
		Step:       step,
		Detail:     OneLine(detail),
	}
}

// runner is the state of one Run.
type runner struct {
	Part
	environ []string
	out     *output.Masked // receives what the steps write; drover's own lines go to Output directly
	last    LastLine       // of the running attempt
}

func (r *runner) run(ctx context.Context) client.End {
	if end := r.prepare(ctx); end != nil {
		return *end
	}
	for i, step := range r.Work.Steps {
		if r.killed() {
			return killedEnd(step.Name, fmt.Sprintf("step %q was not started: stopped by %s", step.Name, r.Kill.By()))
		}
		if ctx.Err() != nil || i > 0 && r.stopping() {
			return InterruptedEnd("", step.Name, fmt.Sprintf("the agent was stopped before step %q", step.Name))
		}
		if end := r.step(ctx, i, step); end != nil {
			return *end
		}
	}
	return client.End{State: domain.PartSucceeded}
}

// prepare checks the requirements of the first step. It returns the end of the part if something is missing or invalid,
// and otherwise nil.
func (r *runner) prepare(ctx context.Context) *client.End {
	reading, done := r.Kill.context(ctx)
	defer done()
	secrets, masked, err := r.secrets(reading)
	if err != nil && r.killed() {
		end := killedEnd("", "not started: stopped by "+r.Kill.By())
		return &end
	}
	if err != nil {
		return &client.End{State: domain.PartFailed, Reason: domain.SecretMissing, Detail: err.Error()}
	}
	r.out = output.NewMask(masked).Writer(io.MultiWriter(&r.last, r.Output))
	if r.environ, err = environment(Inherited(r.Inherit, r.PassEnv), r.Work, secrets); err != nil {
		return agentError("", err)
	}
	if err := os.MkdirAll(filepath.Join(r.Folder, "work"), 0o700); err != nil {
		return agentError("", fmt.Errorf("create the part's folder: %w", err))
	}
	for _, step := range r.Work.Steps {
		if step.Run == "" {
			return agentError(step.Name,
				fmt.Errorf("step %q has a type that this agent does not support; update the agent", step.Name))
		}
	}
	return nil
}

// secrets returns the secrets that the part requires, and all values to mask: those, all other values in the secrets
// file, and Masked. A part that requires no secret does not fail because of the file.
func (r *runner) secrets(ctx context.Context) (secrets map[string]string, masked []string, err error) {
	file, err := openSecrets(r.SecretsFile)
	names := r.Work.Secrets
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case len(names) == 0:
		if err != nil && !missing && len(file.values) == 0 {
			r.printf("the values of secrets are not masked: %v", err)
		}
		return nil, append(withLines(file.values), r.Masked...), nil
	case missing:
		return nil, nil, fmt.Errorf("secret %s is required but %s does not exist; create it with mode 0600 and a line %s=…",
			strings.Join(names, ", "), r.SecretsFile, names[0])
	case err != nil:
		return nil, nil, err
	}
	// The commands get what steps must not have, such as the token of a vault.
	environ := withHome(filter(r.Inherit, func(string) bool { return true }))
	if secrets, err = file.resolve(ctx, names, environ); err != nil {
		return nil, nil, err
	}
	values := append(slices.Collect(maps.Values(secrets)), file.values...)
	return secrets, append(withLines(values), r.Masked...), nil
}

func agentError(step string, err error) *client.End {
	return &client.End{State: domain.PartFailed, Reason: domain.OtherAgentFailure, Step: step, Detail: err.Error()}
}

// step runs one step with its retries. It returns nil if the step succeeded.
func (r *runner) step(ctx context.Context, index int, step domain.Step) *client.End {
	script, err := r.script(index, step)
	if err != nil {
		return agentError(step.Name, err)
	}
	attempts := max(step.Retries, 0) + 1
	for attempt := 1; ; attempt++ {
		script.Environ = append(r.environ[:len(r.environ):len(r.environ)],
			"DROVER_STEP="+step.Name, fmt.Sprintf("DROVER_ATTEMPT=%d", attempt))
		r.newLine()
		r.last = LastLine{}
		exit := script.Run(ctx)
		_ = r.out.Flush()
		r.reportLeftovers(step, exit)
		end := r.judge(step, exit)
		if end == nil || end.Reason == domain.AgentInterrupted || attempt == attempts || r.stopping() || r.killed() {
			return end
		}
		r.printf("%s; attempt %d of %d", end.Detail, attempt+1, attempts)
	}
}

// script writes the step's script to a file, so that the script can have any size.
func (r *runner) script(index int, step domain.Step) (Script, error) {
	folder, err := r.workingFolder(step)
	if err != nil {
		return Script{}, err
	}
	path := filepath.Join(r.Folder, fmt.Sprintf("step-%d.sh", index+1))
	if err := os.WriteFile(path, []byte(step.Run), 0o700); err != nil {
		return Script{}, fmt.Errorf("write the script of step %q: %w", step.Name, err)
	}
	s := Script{
		Path: path, Folder: folder, Timeout: time.Duration(step.Timeout), Grace: r.Grace, Output: r.out,
		Shebang: strings.HasPrefix(step.Run, "#!"), Kill: r.Kill.Asked(),
		Stopping: r.Stopping,
	}
	if r.Starting != nil {
		s.Starting = func(g Group) error { return r.Starting(step.Name, g) }
	}
	if s.Timeout <= 0 {
		s.Timeout = time.Duration(domain.DefaultStepTimeout)
	}
	return s, nil
}

// workingFolder returns the folder in which the step runs: a folder below the part's own folder, or the absolute path
// that the step specifies. An absolute path must exist.
func (r *runner) workingFolder(step domain.Step) (string, error) {
	own := filepath.Join(r.Folder, "work")
	if err := r.restoreFolder(own); err != nil {
		return "", fmt.Errorf("working folder of step %q: %w", step.Name, err)
	}
	switch {
	case filepath.IsAbs(step.Folder):
		info, err := os.Stat(step.Folder)
		if err != nil {
			return "", fmt.Errorf("working folder of step %q: %w", step.Name, err)
		}
		if !info.IsDir() {
			return "", fmt.Errorf("working folder of step %q: %s is not a folder", step.Name, step.Folder)
		}
		return step.Folder, nil
	case step.Folder == "":
		return own, nil
	case !filepath.IsLocal(step.Folder):
		return "", fmt.Errorf("working folder of step %q: %q is outside the part's own folder; use an absolute path",
			step.Name, step.Folder)
	}
	folder := filepath.Join(own, step.Folder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("working folder of step %q: %w", step.Name, err)
	}
	return folder, nil
}

// restoreFolder creates the part's working folder again if something has removed it since the part began.
func (r *runner) restoreFolder(own string) error {
	if _, err := os.Lstat(own); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.MkdirAll(own, 0o700); err != nil {
		return err
	}
	r.printf("the working folder had been removed and was created again, empty: %s", own)
	return nil
}

// judge returns how the part ends after an attempt of a step, or nil if the step succeeded.
func (r *runner) judge(step domain.Step, exit Exit) *client.End {
	end := client.End{State: domain.PartFailed, Step: step.Name, ExitCode: exit.Code}
	switch {
	case exit.Killed:
		end.Reason, end.Detail = domain.KilledByPerson, fmt.Sprintf("step %q was stopped by %s", step.Name, r.Kill.By())
	case exit.OwnAgent:
		end.Reason, end.Detail = domain.AgentInterrupted, fmt.Sprintf("the agent was asked to stop while step %q was "+
			"running, and the step waited for the end of the agent, which waits for the step; restart the agent after the "+
			"step: %s", step.Name, Recipe)
	case exit.Code == 128+int(syscall.SIGTERM) && r.stopping() && !exit.TimedOut && exit.Err == nil && !exit.Stopped:
		end.Reason, end.Detail = domain.AgentInterrupted, fmt.Sprintf("step %q was ended by SIGTERM while the agent was "+
			"asked to stop; if the step restarts the agent, it must do that after its end: %s", step.Name, Recipe)
	case exit.Stopped:
		end.Reason, end.Detail = domain.AgentInterrupted, fmt.Sprintf("step %q was killed because the agent was stopped",
			step.Name)
	case exit.Err != nil:
		end.Reason, end.Detail = domain.OtherAgentFailure, fmt.Sprintf("step %q was not started: %s", step.Name,
			reason(exit.Err))
	case exit.TimedOut:
		end.Reason, end.Detail = domain.StepTimedOut, fmt.Sprintf("step %q exceeded its timeout of %s", step.Name,
			exit.Timeout)
	case exit.Code != 0:
		end.Reason, end.Detail = domain.StepFailed, domain.StepEnded(step.Name, exit.Code)
		if line := r.last.String(); line != "" {
			end.Detail += ": " + line
		}
	default:
		return nil
	}
	return &end
}

// reason returns the text of an error that prevented a step from starting, with a hint where one helps.
func reason(err error) string {
	if errors.Is(err, errArgumentListTooLong) {
		return err.Error() + " (a variable or secret can have at most 128 KiB)"
	}
	return err.Error()
}

func (r *runner) reportLeftovers(step domain.Step, exit Exit) {
	if exit.Left > 0 {
		r.printf("processes that step %q left running were stopped: %d "+
			"(use the system's service manager to start services)", step.Name, exit.Left)
	}
	if exit.Stuck > 0 {
		r.printf("processes of step %q that could not be stopped: %d", step.Name, exit.Stuck)
	}
}

// newLine ends an unterminated last line of the previous attempt. The mask cannot detect a secret that is split between
// two attempts; the line break ensures that the two halves are not adjacent in the output.
func (r *runner) newLine() {
	if r.last.Open() {
		_, _ = io.MultiWriter(&r.last, r.Output).Write([]byte("\n"))
	}
}

// printf writes drover's own line to the output. It is neither masked, because a short secret would make it unreadable,
// nor the last line of an attempt.
func (r *runner) printf(format string, values ...any) {
	r.newLine()
	_, _ = fmt.Fprintf(r.Output, "drover: "+format+"\n", values...)
}

// killedEnd returns the end of a part that a person stopped before the step.
func killedEnd(step, detail string) client.End {
	return client.End{State: domain.PartFailed, Reason: domain.KilledByPerson, Step: step, Detail: detail}
}

func (r *runner) killed() bool {
	select {
	case <-r.Kill.Asked():
		return true
	default:
		return false
	}
}

func (r *runner) stopping() bool {
	select {
	case <-r.Stopping:
		return true
	default:
		return false
	}
}
