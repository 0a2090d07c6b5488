package domain

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// Command is a request in the imperative. It is checked against the World, and the events that it decides on are
// appended to its one stream at the revision that the World was folded to.
type Command interface {
	// Stream is the stream that guards the command in this world.
	Stream(World) string
	// Decide returns the events that the command leads to, none if nothing would change.
	// It is a pure function of the command and the world.
	Decide(World) ([]Event, *Rejection)
}

// Dependent is a Command whose decision rests on further streams. It is refused while one of them cannot be folded, as it would
// be while its own is: what it read there may be old.
type Dependent interface {
	Command
	// Relies are the streams, less the command's own.
	DependsOn(World) []string
	// Void says why what the command wrote has no effect, in the world that it was folded into; nil if it has. The log guards the
	// command's own stream alone: what the command relies on may have changed between the decision and the append.
	NoEffect(World) *Rejection
}

// commands is the table of commands and their names. A name is part of the ids of the events that its command leads to:
// rows are added, never changed.
var commands = []struct {
	name string
	zero Command
}{
	{"machine.apply", ApplyMachine{}},
	{"machine.set-enabled", SetMachineEnabled{}},
	{"machine.delete", DeleteMachine{}},
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
	{"stream.clear", ClearStream{}},
	{"log.accept-restore", AcceptRestore{}},
}

var nameByCommand = map[reflect.Type]string{}

func init() {
	for _, row := range commands {
		nameByCommand[reflect.TypeOf(row.zero)] = row.name
	}
}

// CommandName is the hand-written name of c, such as "machine.apply"; empty for a command that is not in the table.
func CommandName(c Command) string { return nameByCommand[reflect.TypeOf(c)] }

// CommandContent returns what c asks for as canonical JSON: members are sorted by name, and zero fields and the origin
// are left out. Two commands with equal names and contents ask for the same, whoever sends them. A field that is added
// later does not change the content of a command in which it is zero.
func CommandContent(c Command) []byte {
	data, err := json.Marshal(canonical(reflect.ValueOf(c))) // map keys are sorted
	if err != nil {
		panic("domain: a command cannot be encoded: " + err.Error()) // its fields are plain data
	}
	return data
}

// canonical is v as a value that encoding/json writes in one spelling, whatever the order of its fields.
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

// empty says that a field asks for nothing: a pointer to zero does ask for zero.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return v.IsZero()
}
