package domain

import (
	"time"
	"unicode/utf8"
)

// Bounds of what people may write.
const (
	MaxSteps         = 100
	MaxStepBytes     = 128 << 10 // of one script
	MaxReleaseBytes  = 400 << 10 // of all steps, variables and secrets of a release, as JSON
	MaxVariables     = 500
	MaxRoles         = 100
	MaxEnvironments  = 200
	MaxTriggers      = 1000 // of one project; an automatic deployment names those that asked for a machine
	MaxAttempts      = 100
	MaxNamedMachines = 500 // in one narrowed or automatic deployment
	MaxReasonBytes   = 500
	MaxDetailBytes   = 500      // of what an agent says about a health or an end; more is cut
	MaxScriptBytes   = 64 << 10 // of a health check
	MinOfflineAfter  = Duration(time.Second)
	MinLostAfter     = Duration(time.Second) // a claim takes its way through agent, server and log
	MaxAnyDuration   = Duration(366 * 24 * time.Hour)
)

// Step is one named step of a project or release. Its kind is the field that is set; Run is the first kind.
type Step struct {
	Name    string   `json:"name"`
	Run     string   `json:"run,omitempty"`     // a shell script
	Folder  string   `json:"folder,omitempty"`  // working folder; empty: one of the part's own
	Timeout Duration `json:"timeout,omitempty"` // of one attempt; zero: DefaultStepTimeout
	Retries int      `json:"retries,omitempty"` // further attempts after a failed one
}

// DefaultStepTimeout bounds an attempt of a step that names no time-out.
const DefaultStepTimeout = Duration(30 * time.Minute)

// Longest is the time a part with these steps can take when each attempt uses all of its time.
func Longest(steps []Step) Duration {
	const lid = 100 * MaxAnyDuration // steps that are all at their bounds count beyond what a Duration holds
	var sum Duration
	for _, s := range steps {
		timeout := s.Timeout
		if timeout == 0 {
			timeout = DefaultStepTimeout
		}
		sum = min(sum+timeout*Duration(s.Retries+1), lid)
	}
	return sum
}

// ProjectSettings are what an owner says of a project.
type ProjectSettings struct {
	Roles             []string          `json:"roles,omitempty"`             // any of; empty: every machine
	MaxParallel       int               `json:"maxParallel,omitempty"`       // released parts at once per environment; 0: no bound
	StopAfterFailures int               `json:"stopAfterFailures,omitempty"` // failed parts that cancel the rest; 0: never
	Unavailable       Unavailable       `json:"unavailableMachines,omitempty"`
	Attempts          int               `json:"attempts"` // of automatic deployments per machine and wanted release
	Backoff           Duration          `json:"backoff"`  // before the second attempt, doubling to MaxBackoff
	Variables         map[string]string `json:"variables,omitempty"`
	Secrets           []string          `json:"secrets,omitempty"` // names only
	Steps             []Step            `json:"steps,omitempty"`
}

// Defaults of a project.
const (
	DefaultAttempts = 3
	DefaultBackoff  = Duration(time.Minute)
	MaxBackoff      = Duration(time.Hour)
)

// WithDefaults fills what the owner left out and brings sets into their one form.
func (s ProjectSettings) WithDefaults() ProjectSettings {
	s.Roles, s.Secrets = Names(s.Roles), Names(s.Secrets)
	if s.Unavailable == "" {
		s.Unavailable = SkipUnavailable
	}
	if s.Attempts == 0 {
		s.Attempts = DefaultAttempts
	}
	if s.Backoff == 0 {
		s.Backoff = DefaultBackoff
	}
	if len(s.Variables) == 0 {
		s.Variables = nil
	}
	if len(s.Steps) == 0 {
		s.Steps = nil
	}
	return s
}

// Check refuses settings that could not be carried out.
func (s ProjectSettings) Check() *Rejection {
	if r := checkRoles(s.Roles); r != nil {
		return r
	}
	switch {
	case s.MaxParallel < 0:
		return invalid("invalid maxParallel %d", s.MaxParallel).hint("use 1 or more, or 0 for no limit")
	case s.StopAfterFailures < 0:
		return invalid("invalid stopAfterFailures %d", s.StopAfterFailures).hint("use 1 or more, or 0 for never")
	case s.Unavailable != SkipUnavailable && s.Unavailable != FailUnavailable && s.Unavailable != "":
		return invalid("invalid unavailableMachines %.40q", s.Unavailable).hint("use skip or fail")
	case s.Attempts < 0 || s.Attempts > MaxAttempts:
		return invalid("invalid automatic.attempts %d", s.Attempts).hint("use 1 to %d", MaxAttempts)
	case s.Backoff < 0 || s.Backoff > MaxBackoff:
		return invalid("invalid automatic.backoff %s", s.Backoff).hint("use more than 0s, at most %s", MaxBackoff)
	}
	if r := checkVariables(s.Variables, s.Secrets); r != nil {
		return r
	}
	if r := checkSteps(s.Steps); r != nil {
		return r
	}
	return s.checkSize()
}

func checkVariables(variables map[string]string, secrets []string) *Rejection {
	if len(variables)+len(secrets) > MaxVariables {
		return invalid("%d variables and secrets are given", len(variables)+len(secrets)).hint("use at most %d", MaxVariables)
	}
	for _, name := range sortedKeys(variables) {
		if r := checkVariable("variable", name); r != nil {
			return r
		}
		if !utf8.ValidString(variables[name]) || containsNUL(variables[name]) {
			return invalid("variable %s holds bytes that no environment takes", name).hint("use UTF-8 text without NUL")
		}
	}
	for _, name := range secrets {
		if r := checkVariable("secret", name); r != nil {
			return r
		}
		if _, twice := variables[name]; twice {
			return invalid("%s is both a variable and a secret", name).hint("keep one of the two")
		}
	}
	return nil
}

func checkVariable(what, name string) *Rejection {
	ok := name != "" && len(name) <= MaxVersionLength && (name[0] < '0' || name[0] > '9')
	for i := 0; i < len(name); i++ {
		ok = ok && (isAlphanumeric(name[i]) || name[i] == '_')
	}
	switch {
	case !ok:
		return invalid("%s name %.80q is not one a shell knows", what, name).hint("use letters, digits and _, not beginning with a digit")
	case len(name) >= 7 && name[:7] == "DROVER_":
		return invalid("%s %s begins with DROVER_", what, name).hint("these names are drover's own")
	}
	return nil
}

// checkSize counts what a release will need in the log, which bounds an append: JSON may write one
// byte of a script as six.
func (s ProjectSettings) checkSize() *Rejection {
	_, data, err := Encode(ReleaseCreated{Steps: s.Steps, Variables: s.Variables, Secrets: s.Secrets})
	if err != nil {
		return invalid("steps and variables cannot be stored: %s", err)
	}
	if len(data) > MaxReleaseBytes {
		return invalid("steps and variables are %d bytes together", len(data)).hint("at most %d; put large files where the machine can fetch them", MaxReleaseBytes)
	}
	return nil
}

func checkSteps(steps []Step) *Rejection {
	if len(steps) > MaxSteps {
		return invalid("%d steps are given", len(steps)).hint("use at most %d", MaxSteps)
	}
	seen := map[string]bool{}
	for i, s := range steps {
		if r := s.check(i); r != nil {
			return r
		}
		if seen[s.Name] {
			return invalid("duplicate step %s", s.Name).hint("give each step a name of its own")
		}
		seen[s.Name] = true
	}
	return nil
}

func (s Step) check(i int) *Rejection {
	if r := CheckName("step name", s.Name); r != nil {
		return r.hint("steps[%d]: use letters, digits and \"._-\"", i)
	}
	switch {
	case s.Run == "":
		return invalid("step %s says nothing to do", s.Name).hint("give it run: a shell script")
	case len(s.Run) > MaxStepBytes:
		return invalid("step %s is %d bytes long", s.Name, len(s.Run)).hint("at most %d; put large files where the machine can fetch them", MaxStepBytes)
	case containsNUL(s.Run) || !utf8.ValidString(s.Run):
		return invalid("step %s is not UTF-8 text", s.Name).hint("a step is a shell script")
	case s.Timeout < 0 || s.Timeout > MaxAnyDuration:
		return invalid("invalid timeout %[2]s of step %[1]s", s.Name, s.Timeout).hint("use more than 0s, at most %s", MaxAnyDuration)
	case s.Retries < 0 || s.Retries > MaxAttempts:
		return invalid("step %s has %d retries", s.Name, s.Retries).hint("use 0 to %d", MaxAttempts)
	case containsNUL(s.Folder) || !utf8.ValidString(s.Folder) || len(s.Folder) > 4096:
		return invalid("step %s has a folder that no machine can have", s.Name)
	}
	return nil
}

// PolicySettings are the rules for the machines that name the policy.
type PolicySettings struct {
	OfflineAfter Duration     `json:"offlineAfter"` // silence after which a machine is offline
	LostAfter    Duration     `json:"lostAfter"`    // how long a part may stay unclaimed, or without an end past its time-outs
	HealthCheck  *HealthCheck `json:"healthCheck,omitempty"`
	CleanUp      *CleanUp     `json:"cleanUp,omitempty"`
}

// HealthCheck is run by the agent; exit code 0 is healthy, 1 is a warning, the rest and a time-out unhealthy.
type HealthCheck struct {
	Every   Duration `json:"every"`
	Timeout Duration `json:"timeout"`
	Script  string   `json:"script"`
}

// CleanUp deletes machines that were absent, as far as servers watched it, for After.
type CleanUp struct {
	After Duration `json:"after"`
	// MaxShare is the percentage of an environment that may be absent at once; above it nothing is deleted.
	MaxShare int `json:"maxShare"`
}

// DefaultPolicy is the name of the policy that exists unwritten.
const DefaultPolicy = "default"

// Defaults of a policy.
const (
	DefaultOfflineAfter  = Duration(30 * time.Second)
	DefaultLostAfter     = Duration(10 * time.Minute)
	DefaultHealthEvery   = Duration(time.Minute)
	DefaultHealthTimeout = Duration(30 * time.Second)
	DefaultMaxShare      = 20
)

// WithDefaults fills what the owner left out.
func (s PolicySettings) WithDefaults() PolicySettings {
	if s.OfflineAfter == 0 {
		s.OfflineAfter = DefaultOfflineAfter
	}
	if s.LostAfter == 0 {
		s.LostAfter = DefaultLostAfter
	}
	if s.HealthCheck != nil {
		check := *s.HealthCheck
		if check.Every == 0 {
			check.Every = DefaultHealthEvery
		}
		if check.Timeout == 0 {
			check.Timeout = DefaultHealthTimeout
		}
		s.HealthCheck = &check
	}
	if s.CleanUp != nil && s.CleanUp.MaxShare == 0 {
		cleanUp := *s.CleanUp
		cleanUp.MaxShare = DefaultMaxShare
		s.CleanUp = &cleanUp
	}
	return s
}

// Check refuses settings that could not be kept.
func (s PolicySettings) Check() *Rejection {
	switch {
	case s.OfflineAfter < MinOfflineAfter || s.OfflineAfter > MaxAnyDuration:
		return invalid("invalid offlineAfter %s", s.OfflineAfter).hint("use %s to %s", MinOfflineAfter, MaxAnyDuration)
	case s.LostAfter <= 0 || s.LostAfter > MaxAnyDuration:
		return invalid("invalid lostAfter %s", s.LostAfter).hint("use %s to %s", MinLostAfter, MaxAnyDuration)
	}
	if c := s.HealthCheck; c != nil {
		switch {
		case c.Script == "":
			return invalid("healthCheck has no script").hint("give it script: a shell script whose exit code 0 is healthy, 1 a warning")
		case len(c.Script) > MaxScriptBytes || containsNUL(c.Script) || !utf8.ValidString(c.Script):
			return invalid("healthCheck.script is %d bytes or no text", len(c.Script)).hint("at most %d bytes of text", MaxScriptBytes)
		case c.Every < Duration(time.Second) || c.Every > MaxAnyDuration:
			return invalid("invalid healthCheck.every %s", c.Every).hint("use 1s to %s", MaxAnyDuration)
		case c.Timeout <= 0 || c.Timeout > MaxAnyDuration:
			return invalid("invalid healthCheck.timeout %s", c.Timeout).hint("use more than 0s, at most %s", MaxAnyDuration)
		}
	}
	if c := s.CleanUp; c != nil {
		switch {
		case c.After < Duration(time.Minute) || c.After > 10*MaxAnyDuration:
			return invalid("invalid cleanUp.after %s", c.After).hint("use 1m to %s", 10*MaxAnyDuration)
		case c.MaxShare < 1 || c.MaxShare > 100:
			return invalid("invalid cleanUp.maxShare %d%%", c.MaxShare).hint("use 1%% to 100%%")
		}
	}
	return nil
}

// TokenSettings say what a token is good for.
type TokenSettings struct {
	Join  bool  `json:"join,omitempty"`  // for agents to join with; otherwise Scope counts
	Scope Scope `json:"scope,omitempty"` // of a person's token
	// Person is the id of the person whom the token belongs to; empty: nobody in particular.
	Person string `json:"person,omitempty"`
	// Uses bounds a join token; 0: no limit.
	Uses int `json:"uses,omitempty"`
	// Until is when the token expires on a server's wall clock; nil: never.
	Until *time.Time `json:"until,omitempty"`
	// Environments and Roles bound what an agent may join as; empty: any.
	Environments []string `json:"environments,omitempty"`
	Roles        []string `json:"roles,omitempty"`
}

// Scope says what the bearer of a token may do; each contains the next.
type Scope string

// The scopes.
const (
	AdminScope  Scope = "admin"
	DeployScope Scope = "deploy"
	ReadScope   Scope = "read"
)

// Allows says whether s contains wanted.
func (s Scope) Allows(wanted Scope) bool {
	rank := map[Scope]int{ReadScope: 1, DeployScope: 2, AdminScope: 3}
	return rank[s] >= rank[wanted] && rank[wanted] > 0
}

// checkReason bounds the words that people give.
func checkReason(text string) *Rejection {
	if len(text) > MaxReasonBytes || !utf8.ValidString(text) {
		return invalid("the reason is %d bytes long or not UTF-8", len(text)).hint("use at most %d bytes", MaxReasonBytes)
	}
	return nil
}
