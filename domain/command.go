package domain

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// Command is what a caller asks the engine to do. The engine appends the events of its decision to one stream, at the
// revision of that stream in the World.
type Command interface {
	// Stream returns the stream that the events are appended to.
	Stream(World) string
	// Needs returns what the sender must be permitted to do; all of it is required. It depends only on the command and
	// the World, and is never empty.
	Needs(World) []Need
	// Decide returns the events to append, or none if nothing would change. It is a pure function of the command and
	// the World.
	Decide(World) ([]Event, *Rejection)
}

// Dependent is a Command whose decision also depends on other streams. Like every command, it is rejected while
// a stream that it depends on is set aside, because the state that it would read may be outdated.
type Dependent interface {
	Command
	// DependsOn returns the streams that the decision depends on, without the command's own stream.
	DependsOn(World) []string
	// NoEffect returns why the appended events have no effect in a World that includes them, or nil if they have an effect.
	// The log checks only the revision of the command's own stream. The other streams may have changed between the
	// decision and the append.
	NoEffect(World) *Rejection
}

// commands is the table of commands and their names. Event ids derive from these names, so rows are added but never
// changed.
var commands = []struct {
	name string
	zero Command
}{
	{"machine.apply", ApplyMachine{}},
	{"machine.set-enabled", SetMachineEnabled{}},
	{"machine.delete", DeleteMachine{}},
	{"machine.return", ReturnMachine{}},
	{"machine.connect", ConnectMachine{}},
	{"machine.disconnect", DisconnectMachine{}},
	{"machine.report-health", ReportHealth{}},
	{"project.apply", ApplyProject{}},
	{"project.set-enabled", SetProjectEnabled{}},
	{"project.delete", DeleteProject{}},
	{"trigger.apply", ApplyTrigger{}},
	{"trigger.set-enabled", SetTriggerEnabled{}},
	{"trigger.delete", DeleteTrigger{}},
	{"release.create", CreateRelease{}},
	{"release.retire", RetireRelease{}},
	{"release.restore", RestoreRelease{}},
	{"deployment.deploy", Deploy{}},
	{"deployment.roll-back", Rollback{}},
	{"deployment.retry", Retry{}},
	{"deployment.cancel", CancelDeployment{}},
	{"pin.set", SetPin{}},
	{"pin.lift", LiftPin{}},
	{"hold.set", SetHold{}},
	{"hold.lift", LiftHold{}},
	{"part.claim", ClaimPart{}},
	{"part.end", EndPart{}},
	{"environment.apply", ApplyEnvironment{}},
	{"environment.delete", DeleteEnvironment{}},
	{"policy.apply", ApplyPolicy{}},
	{"policy.delete", DeletePolicy{}},
	{"token.create", CreateToken{}},
	{"token.revoke", RevokeToken{}},
	{"token.use", UseToken{}},
	{"token.register-verifier", RegisterVerifier{}},
	{"stream.clear", ClearStream{}},
	{"log.accept-restore", AcceptRestore{}},
	{"machine.report-lost-state", ReportLostState{}},
	{"machine.accept-memory", AcceptMemory{}},
	{"machine.clear-memory", ClearMemory{}},
	{"log.rotate-server-key", RotateServerKey{}},
	{"access.apply", ApplyAccess{}},
	{"access.delete", DeleteAccess{}},
	{"machine.reimage", ReimageMachine{}},
	{"machine.report-conditions", ReportConditions{}},
	{"deployment.retry-parts", RetryDeployment{}},
	{"deployment.accept", AcceptDeployment{}},
}

// RemovesPower reports whether c takes a permission away or stops something: it revokes, disables, deletes, cancels,
// holds or retires. Such commands go before others that wait for the same stream.
func RemovesPower(c Command) bool {
	switch c := c.(type) {
	case SetMachineEnabled:
		return !c.Enabled
	case SetProjectEnabled:
		return !c.Enabled
	case SetTriggerEnabled:
		return !c.Enabled
	case RevokeToken, RotateServerKey, CancelDeployment, SetHold, RetireRelease, DeleteAccess,
		DeleteMachine, DeleteProject, DeleteTrigger, DeleteEnvironment, DeletePolicy:
		return true
	}
	return false
}

var nameByCommand = map[reflect.Type]string{}

func init() {
	for _, row := range commands {
		nameByCommand[reflect.TypeOf(row.zero)] = row.name
	}
}

// CommandName returns the name of c in the table, such as "machine.apply". It is empty for a command that is not in the
// table.
func CommandName(c Command) string { return nameByCommand[reflect.TypeOf(c)] }

// CommandContent returns the fields of c as canonical JSON: members are sorted by name, and zero fields and the origin
// are left out. Two commands with equal names and contents are the same command, regardless of the caller. A field that
// is added later does not change the content of a command in which it is zero.
func CommandContent(c Command) []byte {
	data, err := json.Marshal(canonical(reflect.ValueOf(c))) // map keys are sorted
	if err != nil {
		panic("domain: encode a command: " + err.Error()) // impossible: the fields are plain data
	}
	return data
}

// canonical converts v to a value whose JSON encoding does not depend on the order of struct fields or on time zones.
func canonical(v reflect.Value) any {
	if v.Kind() == reflect.Pointer {
		return canonical(v.Elem())
	}
	if at, ok := v.Interface().(time.Time); ok {
		return at.UTC()
	}
	if _, ok := v.Interface().(encoding.TextMarshaler); ok {
		return v.Interface()
	}
	switch v.Kind() {
	case reflect.Struct:
		return canonicalFields(v)
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = canonical(v.Index(i))
		}
		return list
	}
	return v.Interface()
}

func canonicalFields(v reflect.Value) map[string]any {
	members := map[string]any{}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" && !empty(v.Field(i)) { // Origin is embedded and has no name
			members[name] = canonical(v.Field(i))
		}
	}
	return members
}

// empty reports whether a field is left out of the content. A pointer to zero is not empty.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return v.IsZero()
}
