package domain

import (
	"cmp"
	"time"
	"unicode/utf8"
)

// Limits of the settings that people write.
const (
	MaxSteps         = 100
	MaxStepBytes     = 128 << 10 // of one script
	MaxReleaseBytes  = 400 << 10 // of all steps, variables and secrets of a release, as JSON
	MaxVariables     = 500
	MaxRoles         = 100
	MaxEnvironments  = 200
	MaxTriggers      = 1000 // of one project; an automatic deployment lists the triggers that selected a machine
	MaxAttempts      = 100
	MaxNamedMachines = 500 // in one narrowed or automatic deployment
	MaxReasonBytes   = 500
	MaxDetailBytes   = 500      // of an agent's detail on health or the end of a part; the rest is cut off
	MaxScriptBytes   = 64 << 10 // of a health check
	maxFolderBytes   = 4096
	MinOfflineAfter  = Duration(time.Second)
	MinLostAfter     = Duration(time.Second) // time for a claim to pass through agent, server and log
	MaxAnyDuration   = Duration(366 * 24 * time.Hour)
)

// Step is one named step of a project or release. The field that is set determines the kind of the step; Run is the
// only kind so far.
type Step struct {
	Name    string   `json:"name"`
	Run     string   `json:"run,omitempty"`     // a shell script
	Folder  string   `json:"folder,omitempty"`  // working folder; empty: a folder of the part
	Timeout Duration `json:"timeout,omitempty"` // of one attempt; zero: DefaultStepTimeout
	Retries int      `json:"retries,omitempty"` // further attempts after a failed one
}

// DefaultStepTimeout limits an attempt of a step that sets no timeout.
const DefaultStepTimeout = Duration(30 * time.Minute)

// LongestRun returns how long a part with these steps can take: the sum of the timeouts of all attempts, up to a limit.
func LongestRun(steps []Step) Duration {
	const limit = 100 * MaxAnyDuration // the sum would overflow if all steps had the maximal values
	var sum Duration
	for _, s := range steps {
		timeout := s.Timeout
		if timeout == 0 {
			timeout = DefaultStepTimeout
		}
		sum = min(sum+timeout*Duration(s.Retries+1), limit)
	}
	return sum
}

// ProjectSettings are the settings of a project.
type ProjectSettings struct {
	Roles             []string `json:"roles,omitempty"`             // any of these; empty: every machine
	MaxParallel       Amount   `json:"maxParallel,omitzero"`        // slots per environment; 0: no limit
	StopAfterFailures int      `json:"stopAfterFailures,omitempty"` // failed parts that cancel the rest; 0: never
	// MaxFailures is how many parts of an environment-wide deployment may fail. Nil: any failure fails the deployment.
	MaxFailures *Amount           `json:"maxFailures,omitempty"`
	Unavailable Unavailable       `json:"unavailableMachines,omitempty"`
	HealthyFor  Duration          `json:"healthyFor,omitempty"` // after a success; 0: no verification
	Attempts    int               `json:"attempts"`             // of automatic deployments per machine and wanted release
	Backoff     Duration          `json:"backoff"`              // before the second attempt, doubling to MaxBackoff
	Variables   map[string]string `json:"variables,omitempty"`
	Secrets     []string          `json:"secrets,omitempty"` // names only
	Steps       []Step            `json:"steps,omitempty"`
	// Overrides are the settings that differ by environment and by role.
	Overrides Overrides `json:"overrides,omitzero"`
}

// Defaults of a project.
const (
	DefaultAttempts = 3
	DefaultBackoff  = Duration(time.Minute)
	MaxBackoff      = Duration(time.Hour)
)

// WithDefaults sets the defaults of omitted settings, and sorts sets.
func (s ProjectSettings) WithDefaults() ProjectSettings {
	s.Roles, s.Secrets = SortedUnique(s.Roles), SortedUnique(s.Secrets)
	s.Overrides = s.Overrides.normal()
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

// Check rejects invalid settings.
func (s ProjectSettings) Check() *Rejection {
	if r := checkRoles(s.Roles); r != nil {
		return r
	}
	if r := cmp.Or(s.MaxParallel.checkSlots(), s.MaxFailures.checkFailures()); r != nil {
		return r
	}
	switch {
	case s.StopAfterFailures < 0:
		return invalid("invalid stopAfterFailures %d", s.StopAfterFailures).hint("use 1 or more, or 0 for never")
	case s.StopAfterFailures > 0 && s.MaxFailures != nil:
		return invalid("stopAfterFailures and maxFailures are both set").
			hint("use maxFailures, which decides when to stop and whether the deployment succeeds")
	case s.Unavailable != SkipUnavailable && s.Unavailable != FailUnavailable && s.Unavailable != "":
		return invalid("invalid unavailableMachines %.40q", s.Unavailable).hint("use skip or fail")
	case s.HealthyFor < 0 || s.HealthyFor > MaxAnyDuration:
		return invalidHealthyFor(s.HealthyFor)
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
	if r := s.Overrides.check(); r != nil {
		return r
	}
	return s.release().checkSize()
}

func invalidHealthyFor(d Duration) *Rejection {
	return invalid("invalid healthyFor %s", d).hint("use 0s to %s; 0s means no verification", MaxAnyDuration)
}

func checkVariables(variables map[string]string, secrets []string) *Rejection {
	if len(variables)+len(secrets) > MaxVariables {
		return invalid("too many variables and secrets: %d", len(variables)+len(secrets)).
			hint("use at most %d", MaxVariables)
	}
	for _, name := range sortedKeys(variables) {
		if r := checkVariable("variable", name); r != nil {
			return r
		}
		if !utf8.ValidString(variables[name]) || containsNUL(variables[name]) {
			return invalid("the value of variable %s is not valid text", name).hint("use UTF-8 without NUL bytes")
		}
	}
	for _, name := range secrets {
		if r := checkVariable("secret", name); r != nil {
			return r
		}
		if _, twice := variables[name]; twice {
			return invalid("%s is both a variable and a secret", name).hint("remove one of them")
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
		return invalid("invalid %s name %.80q", what, name).hint("use letters, digits and _, beginning with a letter or _")
	case len(name) >= 7 && name[:7] == "DROVER_":
		return invalid("%s %s begins with DROVER_", what, name).hint("this prefix is reserved for drover")
	}
	return nil
}

// release returns the content of a release that is created from these settings.
func (s ProjectSettings) release() ReleaseCreated {
	return ReleaseCreated{Steps: s.Steps, Variables: s.Variables, Secrets: s.Secrets,
		Environments: valuesOf(s.Overrides.Environments), Roles: valuesOf(s.Overrides.Roles)}
}

// Preview returns the release that would be created from these settings, without a version.
func (s ProjectSettings) Preview() *Release {
	p := NewProject("")
	p.addRelease(s.release())
	return p.Releases[""]
}

// checkSize limits the size of a release in the log, because the log limits the size of an append. JSON may encode one
// byte of a script as six.
func (e ReleaseCreated) checkSize() *Rejection {
	e.Incarnation, e.Version, e.Origin = ID{}, "", Origin{}
	what := "steps, variables and secrets"
	if e.Notes != "" {
		what = "steps, variables, secrets and notes"
	}
	_, data, err := Encode(e)
	if err != nil {
		return invalid("could not encode the steps and variables: %s", err)
	}
	if len(data) > MaxReleaseBytes {
		return invalid("%s take %d bytes", what, len(data)).
			hint("use at most %d; store large files where the machine can download them", MaxReleaseBytes)
	}
	return nil
}

func checkSteps(steps []Step) *Rejection {
	if len(steps) > MaxSteps {
		return invalid("too many steps: %d", len(steps)).hint("use at most %d", MaxSteps)
	}
	seen := map[string]bool{}
	for i, s := range steps {
		if r := s.check(i); r != nil {
			return r
		}
		if seen[s.Name] {
			return invalid("duplicate step %s", s.Name).hint("give each step a unique name")
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
		return invalid("step %s has no script", s.Name).hint("set run to a shell script")
	case len(s.Run) > MaxStepBytes:
		return invalid("step %s is %d bytes long", s.Name, len(s.Run)).
			hint("use at most %d; store large files where the machine can download them", MaxStepBytes)
	case containsNUL(s.Run) || !utf8.ValidString(s.Run):
		return invalid("the script of step %s is not valid text", s.Name).hint("use UTF-8 without NUL bytes")
	case s.Timeout < 0 || s.Timeout > MaxAnyDuration:
		return invalid("invalid timeout %[2]s of step %[1]s", s.Name, s.Timeout).
			hint("use more than 0s, at most %s", MaxAnyDuration)
	case s.Retries < 0 || s.Retries > MaxAttempts:
		return invalid("invalid retries %d of step %s", s.Retries, s.Name).hint("use 0 to %d", MaxAttempts)
	case containsNUL(s.Folder) || !utf8.ValidString(s.Folder) || len(s.Folder) > maxFolderBytes:
		return invalid("invalid folder of step %s", s.Name).
			hint("use a path of at most %d bytes of UTF-8 without NUL bytes", maxFolderBytes)
	}
	return nil
}

// PolicySettings are the rules for the machines that name the policy.
type PolicySettings struct {
	OfflineAfter Duration     `json:"offlineAfter"` // silence after which a machine is offline
	LostAfter    Duration     `json:"lostAfter"`    // how long a part may stay unclaimed, or unfinished after its timeouts
	HealthCheck  *HealthCheck `json:"healthCheck,omitempty"`
	CleanUp      *CleanUp     `json:"cleanUp,omitempty"`
}

// HealthCheck is a script that the agent runs. Exit code 0 means healthy, 1 a warning; any other code and a timeout
// mean unhealthy.
type HealthCheck struct {
	Every   Duration `json:"every"`
	Timeout Duration `json:"timeout"`
	Script  string   `json:"script"`
}

// CleanUp deletes machines after an absence of After. Only time in which a server watched the machines counts.
type CleanUp struct {
	After Duration `json:"after"`
	// MaxShare is a percentage of the environment's machines. If a larger share is absent, no machine is deleted.
	MaxShare int `json:"maxShare"`
}

// DefaultPolicy is the name of the policy that always exists.
const DefaultPolicy = "default"

// Defaults of a policy.
const (
	DefaultOfflineAfter  = Duration(30 * time.Second)
	DefaultLostAfter     = Duration(10 * time.Minute)
	DefaultHealthEvery   = Duration(time.Minute)
	DefaultHealthTimeout = Duration(30 * time.Second)
	DefaultMaxShare      = 20
)

// WithDefaults sets the defaults of omitted settings.
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

// Check rejects invalid settings.
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
			return invalid("healthCheck has no script").
				hint("set script to a shell script that exits with 0 when healthy and 1 for a warning")
		case len(c.Script) > MaxScriptBytes || containsNUL(c.Script) || !utf8.ValidString(c.Script):
			return invalid("invalid healthCheck.script of %d bytes", len(c.Script)).
				hint("use at most %d bytes of UTF-8 without NUL bytes", MaxScriptBytes)
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

// TokenSettings define the permissions of a token.
type TokenSettings struct {
	Join  bool  `json:"join,omitempty"`  // a join token, with which agents join; it has no scope
	Scope Scope `json:"scope,omitempty"` // the scope of any other token
	// Permission is the permission of a token that has neither Join nor Scope. Projects and Environments limit it.
	Permission Permission `json:"permission,omitempty"`
	// Name distinguishes the token from the other valid ones. It is empty for tokens of earlier versions.
	Name string `json:"name,omitempty"`
	// Person is the id of the person who owns the token; empty: no owner.
	Person string `json:"person,omitempty"`
	// Uses is the maximum number of uses of a join token; 0: no limit.
	Uses int `json:"uses,omitempty"`
	// MaxMachines is how many machines that joined with the token can exist at the same time; 0: no limit. Tokens of earlier
	// versions have no limit.
	MaxMachines int `json:"maxMachines,omitempty"`
	// Until is the expiry time by a server's wall clock; nil: never.
	Until *time.Time `json:"until,omitempty"`
	// Environments and Roles restrict the machines that can join, and Projects and Environments the permission; empty:
	// no restriction.
	Environments []string `json:"environments,omitempty"`
	Roles        []string `json:"roles,omitempty"`
	Projects     []string `json:"projects,omitempty"`
	// Groups are the groups of the owner. Access resources can name them.
	Groups []string `json:"groups,omitempty"`
	// AnyEnvironment means that the token was asked for without a restriction to environments.
	AnyEnvironment bool `json:"anyEnvironment,omitempty"`
	// Machine is the only machine that can join. A use lets another instance take the name of that machine. Empty: any.
	Machine string `json:"machine,omitempty"`
	// Policy is the machine policy of each new machine that joins, whatever its agent asks for. Empty: the agent can ask for
	// one.
	Policy string `json:"policy,omitempty"`
}

// CountsEverywhere reports whether the permission lets its bearer change something in all projects and environments,
// although it could be limited to some.
func (s TokenSettings) CountsEverywhere() bool {
	switch s.Permission {
	case "", NoPermission, Viewer, Admin:
		return false
	}
	return len(s.Projects) == 0 && len(s.Environments) == 0
}

// Scope is a fixed set of verbs of a token, everywhere. Each scope includes the weaker ones: admin, deploy, read.
type Scope string

// The scopes.
const (
	AdminScope  Scope = "admin"
	DeployScope Scope = "deploy"
	ReadScope   Scope = "read"
)

// checkReason limits the reasons that people give.
func checkReason(text string) *Rejection {
	if len(text) > MaxReasonBytes || !utf8.ValidString(text) {
		return invalid("invalid reason of %d bytes", len(text)).hint("use at most %d bytes of UTF-8", MaxReasonBytes)
	}
	return nil
}
