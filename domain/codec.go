package domain

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// ErrUnknownType means that a newer drover wrote the event: this one may read on, but must not decide.
var ErrUnknownType = errors.New("event type is unknown")

// kind is one row of the codec: a type and version as the log has it, and the Go type that this
// drover folds it as. An older version keeps its row with an upcast that adds defaults, never meaning.
type kind struct {
	name   string
	zero   Event
	upcast func(map[string]any) // nil for the newest version
}

// kinds is the table of all that was ever written. Rows are added, never changed or removed.
var kinds = []kind{
	{"machine.added/v1", MachineAdded{}, nil},
	{"machine.changed/v1", MachineChanged{}, nil},
	{"machine.enabled/v1", MachineEnabled{}, nil},
	{"machine.disabled/v1", MachineDisabled{}, nil},
	{"machine.came-online/v1", MachineCameOnline{}, nil},
	{"machine.went-offline/v1", MachineWentOffline{}, nil},
	{"machine.agent-connected/v1", AgentConnected{}, nil},
	{"machine.health-changed/v1", MachineHealthChanged{}, nil},
	{"machine.deleted/v1", MachineDeleted{}, nil},
	{"machine.clean-up-held/v1", MachineCleanUpHeld{}, nil},
	{"project.defined/v1", ProjectDefined{}, nil},
	{"project.enabled/v1", ProjectEnabled{}, nil},
	{"project.disabled/v1", ProjectDisabled{}, nil},
	{"project.deleted/v1", ProjectDeleted{}, nil},
	{"trigger.defined/v1", TriggerDefined{}, nil},
	{"trigger.enabled/v1", TriggerEnabled{}, nil},
	{"trigger.disabled/v1", TriggerDisabled{}, nil},
	{"trigger.deleted/v1", TriggerDeleted{}, nil},
	{"release.created/v1", ReleaseCreated{}, nil},
	{"deployment.queued/v1", DeploymentQueued{}, nil},
	{"deployment.parts-released/v1", PartsReleased{}, nil},
	{"deployment.parts-withdrawn/v1", PartsWithdrawn{}, nil},
	{"deployment.cancelled/v1", DeploymentCancelled{}, nil},
	{"deployment.ended/v1", DeploymentEnded{}, nil},
	{"pin.set/v1", PinSet{}, nil},
	{"pin.lifted/v1", PinLifted{}, nil},
	{"hold.set/v1", HoldSet{}, nil},
	{"hold.lifted/v1", HoldLifted{}, nil},
	{"part.claimed/v1", PartClaimed{}, nil},
	{"part.ended/v1", PartEnded{}, nil},
	{"environment.defined/v1", EnvironmentDefined{}, nil},
	{"environment.deleted/v1", EnvironmentDeleted{}, nil},
	{"policy.defined/v1", PolicyDefined{}, nil},
	{"policy.deleted/v1", PolicyDeleted{}, nil},
	{"token.created/v1", TokenCreated{}, nil},
	{"token.used/v1", TokenUsed{}, nil},
	{"token.revoked/v1", TokenRevoked{}, nil},
	{"server.started/v1", ServerStarted{}, nil},
	{"watch.passed/v1", WatchPassed{}, nil},
	{"stream.cleared/v1", StreamCleared{}, nil},
	{"log.restored/v1", LogRestored{}, nil},
}

var (
	kindByName  = map[string]kind{}
	nameByType  = map[reflect.Type]string{}
	plainByName = map[string]form{} // how the data of a type is read where it is plain
)

func init() {
	for _, k := range kinds {
		kindByName[k.name] = k
		if k.upcast == nil {
			nameByType[reflect.TypeOf(k.zero)] = k.name
			plainByName[k.name] = formOf(reflect.TypeOf(k.zero))
		}
	}
}

// TypeName is the on-disk name of e with its newest version.
func TypeName(e Event) string { return nameByType[reflect.TypeOf(e)] }

// Name is the glossary's name of e, such as MachineCameOnline; it is for people.
func Name(e Event) string { return reflect.TypeOf(e).Name() }

// NameOfType is Name for an on-disk type name; an unknown one is returned as it is.
func NameOfType(typeName string) string {
	if k, ok := kindByName[typeName]; ok {
		return Name(k.zero)
	}
	return typeName
}

// TypeNames lists every type and version that was ever written, in the table's order.
func TypeNames() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return names
}

// Encode writes e as its on-disk type name and JSON object.
func Encode(e Event) (typeName string, data []byte, err error) {
	typeName = TypeName(e)
	if typeName == "" {
		return "", nil, fmt.Errorf("encode %T: %w", e, ErrUnknownType)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return "", nil, fmt.Errorf("encode %s: %w", typeName, err)
	}
	return typeName, bytes.TrimRight(buf.Bytes(), "\n"), nil
}

// Decode reads what any drover up to this one wrote. It returns ErrUnknownType for a type or
// version it does not have; any other error means content that cannot be folded. Unknown
// fields are passed over: a newer drover may add them.
func Decode(typeName string, data []byte) (Event, error) {
	k, ok := kindByName[typeName]
	if !ok {
		return nil, fmt.Errorf("decode %.80q: %w", typeName, ErrUnknownType)
	}
	v := reflect.New(reflect.TypeOf(k.zero))
	if readPlain(plainByName[typeName], data, v.Elem()) {
		return v.Elem().Interface().(Event), nil //nolint:forcetypeassert // the table holds events alone
	}
	v.Elem().SetZero()
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return nil, fmt.Errorf("decode %s: the data is no JSON object", typeName)
	}
	if k.upcast != nil {
		var fields map[string]any
		if err := json.Unmarshal(data, &fields); err != nil {
			return nil, fmt.Errorf("decode %s: %w", typeName, err)
		}
		k.upcast(fields)
		data, _ = json.Marshal(fields)
	}
	if err := json.Unmarshal(data, v.Interface()); err != nil {
		return nil, fmt.Errorf("decode %s: %w", typeName, err)
	}
	return v.Elem().Interface().(Event), nil //nolint:forcetypeassert // the table holds events alone
}
