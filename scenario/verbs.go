package scenario

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
)

// by is the origin of the commands of a scenario.
const by = "person"

// verb is one verb of the command line.
type verb struct {
	// usage is the verb, its arguments in capitals, and its flags. It defines which lines are valid.
	usage   string
	command func(*words) domain.Command
}

func verbs() []verb {
	return []verb{
		{"release create PROJECT VERSION --variable NAME=VALUE… --notes TEXT --commit SHA --url URL", releaseCommand},
		{"release retire PROJECT VERSION --reason TEXT", func(w *words) domain.Command {
			return domain.RetireRelease{Project: w.arg(0), Release: w.arg(1), Reason: w.flag("reason"), Origin: domain.By(by)}
		}},
		{"release restore PROJECT VERSION --reason TEXT", func(w *words) domain.Command {
			return domain.RestoreRelease{Project: w.arg(0), Release: w.arg(1), Reason: w.flag("reason"),
				Origin: domain.By(by)}
		}},
		{"deploy PROJECT VERSION --to ENVIRONMENT --machine M… --exclude M… --role R… --only-behind --max-parallel N" +
			" --stop-after-failures N --max-failures N --healthy-for DURATION --waves SIZES --pause DURATION", deployCommand},
		{"rollback PROJECT --to ENVIRONMENT --to-release VERSION --reason TEXT --max-parallel N", rollbackCommand},
		{"retry MACHINE --project P --failed --skipped", retryCommand},
		{"accept DEPLOYMENT --reason TEXT", acceptCommand},
		{"cancel DEPLOYMENT --kill --machine M --reason TEXT", cancelCommand},
		{"pin PROJECT VERSION --in ENVIRONMENT --for DURATION --reason TEXT", func(w *words) domain.Command {
			return domain.SetPin{Project: w.arg(0), Release: w.arg(1), Environment: w.need("in"), Until: w.until(),
				Reason: w.flag("reason"), Origin: domain.By(by)}
		}},
		{"unpin PROJECT --in ENVIRONMENT", func(w *words) domain.Command {
			return domain.LiftPin{Project: w.arg(0), Environment: w.need("in"), Origin: domain.By(by)}
		}},
		{"hold MACHINE --project P --for DURATION --reason TEXT", func(w *words) domain.Command {
			return domain.SetHold{Project: w.need("project"), Machine: w.arg(0), Until: w.until(),
				Reason: w.flag("reason"), Origin: domain.By(by)}
		}},
		{"unhold MACHINE --project P --kind KIND", func(w *words) domain.Command {
			return domain.LiftHold{Project: w.need("project"), Machine: w.arg(0), Kind: domain.HoldKind(w.flag("kind")),
				Origin: domain.By(by)}
		}},
		{"machine enable MACHINE", func(w *words) domain.Command {
			return domain.SetMachineEnabled{Name: w.arg(0), Enabled: true, Origin: domain.By(by)}
		}},
		{"machine disable MACHINE", func(w *words) domain.Command {
			return domain.SetMachineEnabled{Name: w.arg(0),
				Origin: domain.By(by)}
		}},
		{"machine reimage MACHINE --for DURATION", reimageCommand},
		{"project enable NAME", func(w *words) domain.Command {
			return domain.SetProjectEnabled{Name: w.arg(0), Enabled: true, Origin: domain.By(by)}
		}},
		{"project disable NAME", func(w *words) domain.Command {
			return domain.SetProjectEnabled{Name: w.arg(0),
				Origin: domain.By(by)}
		}},
		{"trigger enable PROJECT/NAME", func(w *words) domain.Command { return w.trigger(true) }},
		{"trigger disable PROJECT/NAME", func(w *words) domain.Command { return w.trigger(false) }},
		{"delete KIND NAME", deleteCommand},
		{"log accept-restore --machine MACHINE --except MACHINE", func(w *words) domain.Command {
			if machine := w.flag("machine"); machine != "" {
				return domain.AcceptMemory{Name: machine, Origin: domain.By(by)}
			}
			return domain.AcceptRestore{Was: domain.ID(w.server.LogID()), At: w.server.clock.Now(),
				Except: w.machineFlag("except"), Origin: domain.By(by)}
		}},
		{"log clear STREAM", func(w *words) domain.Command {
			return domain.ClearStream{Name: w.runner.names.stream(w.arg(0)), Origin: domain.By(by)}
		}},
	}
}

func releaseCommand(w *words) domain.Command {
	details := domain.ReleaseDetails{Notes: w.flag("notes"), Commit: w.flag("commit"), URL: w.flag("url")}
	variables, wrong := domain.ParseVariables(w.flags["variable"])
	if wrong != "" {
		w.note(w.runner.wrong("use NAME=VALUE", "invalid --variable %.40q", wrong))
	}
	details.Variables = variables
	return domain.CreateRelease{Project: w.arg(0), Version: w.arg(1), Details: details, Origin: domain.By(by)}
}

func reimageCommand(w *words) domain.Command {
	until := w.until()
	if until == nil {
		end := w.server.clock.Now().Add(domain.DefaultReimageFor)
		until = &end
	}
	return domain.ReimageMachine{Name: w.arg(0), Until: *until, Origin: domain.By(by)}
}

func deployCommand(w *words) domain.Command {
	waves, err := domain.ParseWaves(w.flag("waves"))
	w.note(err)
	pause := domain.Duration(0)
	if d := w.duration("pause"); d != nil {
		pause = *d
	}
	return domain.Deploy{Project: w.arg(0), Release: w.arg(1), Environment: w.need("to"), Machines: w.machineFlag("machine"),
		Exclude: w.machineFlag("exclude"), Roles: w.flags["role"], OnlyBehind: w.flag("only-behind") != "",
		MaxParallel:       w.amount("max-parallel"),
		StopAfterFailures: w.number("stop-after-failures"), MaxFailures: w.amount("max-failures"),
		HealthyFor: w.duration("healthy-for"), Waves: waves, WavePause: pause, Origin: domain.By(by)}
}

func rollbackCommand(w *words) domain.Command {
	return domain.Rollback{Project: w.arg(0), Environment: w.need("to"), Release: w.flag("to-release"),
		Reason: w.flag("reason"), MaxParallel: w.amount("max-parallel"), Origin: domain.By(by)}
}

// retryCommand retries a project on a machine, or with --failed or --skipped the parts of a deployment.
func retryCommand(w *words) domain.Command {
	failed, skipped := w.flag("failed") != "", w.flag("skipped") != ""
	if !failed && !skipped {
		return domain.Retry{Project: w.need("project"), Machine: w.arg(0), Origin: domain.By(by)}
	}
	id, err := w.runner.deployment(w.arg(0))
	w.note(err)
	return domain.RetryDeployment{Deployment: id, Failed: failed, Skipped: skipped, Origin: domain.By(by)}
}

func acceptCommand(w *words) domain.Command {
	id, err := w.runner.deployment(w.arg(0))
	w.note(err)
	return domain.AcceptDeployment{Deployment: id, Reason: w.flag("reason"), Origin: domain.By(by)}
}

func cancelCommand(w *words) domain.Command {
	id, err := w.runner.deployment(w.arg(0))
	w.note(err)
	return domain.CancelDeployment{Deployment: id, Kill: w.flag("kill") != "", Machine: w.flag("machine"),
		Reason: w.flag("reason"), Origin: domain.By(by)}
}

func deleteCommand(w *words) domain.Command {
	name := w.arg(1)
	switch w.arg(0) {
	case "machine":
		return domain.DeleteMachine{Name: name, Origin: domain.By(by)}
	case "project":
		return domain.DeleteProject{Name: name, Origin: domain.By(by)}
	case "environment":
		return domain.DeleteEnvironment{Name: name, Origin: domain.By(by)}
	case "policy":
		return domain.DeletePolicy{Name: name, Origin: domain.By(by)}
	case "access":
		return domain.DeleteAccess{Name: name, Origin: domain.By(by)}
	case "trigger":
		project, trigger, _ := strings.Cut(name, "/")
		return domain.DeleteTrigger{Project: project, Name: trigger, Origin: domain.By(by)}
	}
	w.note(w.runner.wrong("use machine, project, trigger, environment, policy or access", "unknown kind %.40q", w.arg(0)))
	return nil
}

// words holds the arguments and flags of one line, and the first error in them.
type words struct {
	runner *runner
	server *server
	usage  string
	args   []string
	flags  map[string][]string
	err    error
}

func (w *words) note(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *words) arg(i int) string {
	if i < len(w.args) {
		return w.args[i]
	}
	w.note(w.runner.wrong("usage: "+w.usage, "an argument is missing"))
	return ""
}

func (w *words) flag(name string) string {
	if given := w.flags[name]; len(given) > 0 {
		return given[len(given)-1]
	}
	return ""
}

func (w *words) need(name string) string {
	value := w.flag(name)
	if value == "" {
		w.note(w.runner.wrong("usage: "+w.usage, "--%s is missing", name))
	}
	return value
}

func (w *words) number(name string) *int {
	text := w.flag(name)
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		w.note(w.runner.wrong("", "invalid --%s %.40q", name, text))
	}
	return &n
}

// amount returns the value of a flag, or nil if the flag is missing.
func (w *words) amount(name string) *domain.Amount {
	text := w.flag(name)
	if text == "" {
		return nil
	}
	a, err := domain.ParseAmount(text)
	if err != nil {
		w.note(w.runner.wrong("use a number such as 16, or a percentage such as 25%", "invalid --%s %.40q", name, text))
	}
	return &a
}

// duration returns the value of a flag, or nil if the flag is missing.
func (w *words) duration(name string) *domain.Duration {
	text := w.flag(name)
	if text == "" {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		w.note(w.runner.wrong("use a duration such as 30s", "--%s %.40s is not a duration", name, text))
	}
	return (*domain.Duration)(&d)
}

// until returns the end of the duration in --for; nil without the flag.
func (w *words) until() *time.Time {
	text := w.flag("for")
	if text == "" {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		w.note(w.runner.wrong("use a duration such as 90m or 2h30m", "invalid --for %.40q", text))
	}
	until := w.server.clock.Now().Add(d)
	return &until
}

func (w *words) trigger(enabled bool) domain.Command {
	project, name, ok := strings.Cut(w.arg(0), "/")
	if !ok {
		w.note(w.runner.wrong("usage: "+w.usage, "%.40q does not name a project", w.arg(0)))
	}
	return domain.SetTriggerEnabled{Project: project, Name: name, Enabled: enabled, Origin: domain.By(by)}
}

// command parses a line as a command and sends it, once for each machine of a range.
func (r *runner) command(s *server, line []string) ([]string, error) {
	for _, v := range verbs() {
		name := nameOf(v.usage)
		if len(line) < len(name) || !slices.Equal(name, line[:len(name)]) {
			continue
		}
		w, err := r.words(s, v.usage, line[len(name):])
		if err != nil {
			return nil, err
		}
		return w.each(w.machineArgument(), func(w *words) ([]string, error) {
			command := v.command(w)
			if w.err != nil {
				return nil, w.err
			}
			return r.sendNew(s, command)
		})
	}
	return nil, r.wrong("use one of: "+verbNames()+", again", "unknown command %.40q",
		strings.Join(line[:min(2, len(line))], " "))
}

// each calls run with the words of a line, once for each machine that the argument with an index names. If the index is
// -1, the line names no machine.
func (w *words) each(argument int, run func(*words) ([]string, error)) ([]string, error) {
	if argument < 0 || argument >= len(w.args) {
		return run(w)
	}
	return w.runner.eachMachine(w.args[argument], func(machine string) ([]string, error) {
		one := *w
		one.args = slices.Clone(w.args)
		one.args[argument] = machine
		return run(&one)
	})
}

// machineArgument returns the index of the argument that names a machine, or -1.
func (w *words) machineArgument() int {
	if strings.HasPrefix(w.usage, "delete ") && w.arg(0) == "machine" {
		return 1
	}
	var arguments []string
	for word := range strings.FieldsSeq(w.usage) {
		if isArgument(word) {
			arguments = append(arguments, word)
		}
	}
	return slices.Index(arguments[:wantedArgs(w.usage)], "MACHINE")
}

// machineFlag returns the machines that a repeatable flag names.
func (w *words) machineFlag(name string) []string {
	var all []string
	for _, word := range w.flags[name] {
		machines, err := w.runner.machines(word)
		w.note(err)
		all = append(all, machines...)
	}
	return all
}

// read separates arguments and flags according to the usage.
func (w *words) read(line []string) {
	for i := 0; i < len(line); i++ {
		name, isFlag := strings.CutPrefix(line[i], "--")
		if !isFlag {
			w.args = append(w.args, line[i])
			continue
		}
		name, value, given := strings.Cut(name, "=")
		if !strings.Contains(w.usage+" ", " --"+name+" ") || name == "" {
			w.note(w.runner.wrong("usage: "+w.usage, "unknown flag --%.40s", name))
			return
		}
		if !given && w.isSwitch(name) {
			value, given = "yes", true
		}
		if !given {
			if i++; i == len(line) {
				w.note(w.runner.wrong("usage: "+w.usage, "--%s needs a value", name))
				return
			}
			value = line[i]
		}
		w.flags[name] = append(w.flags[name], value)
	}
	if len(w.args) > wantedArgs(w.usage) {
		w.note(w.runner.wrong("usage: "+w.usage, "unexpected word %.40q", w.args[wantedArgs(w.usage)]))
	}
}

// isSwitch reports whether a flag of the usage takes no value.
func (w *words) isSwitch(name string) bool {
	all := strings.Fields(w.usage)
	i := slices.Index(all, "--"+name)
	return i >= 0 && (i+1 == len(all) || strings.HasPrefix(all[i+1], "--"))
}

// nameOf returns the verb of a usage: its words before the first word in capitals and the first flag.
func nameOf(usage string) []string {
	usage, _, _ = strings.Cut(usage, " --")
	all := strings.Fields(usage)
	if i := slices.IndexFunc(all, isArgument); i >= 0 {
		return all[:i]
	}
	return all
}

func isArgument(word string) bool { return word == strings.ToUpper(word) }

// wantedArgs counts the words in capitals before the first flag.
func wantedArgs(usage string) int {
	before, _, _ := strings.Cut(usage, " --")
	count := 0
	for _, word := range strings.Fields(before) {
		if isArgument(word) {
			count++
		}
	}
	return count
}

func verbNames() string {
	var all []string
	for _, v := range verbs() {
		all = append(all, strings.Join(nameOf(v.usage), " "))
	}
	return strings.Join(all, ", ")
}
