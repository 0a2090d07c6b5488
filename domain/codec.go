package domain

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// ErrUnknownType means that a newer drover wrote the event: this one may read on, but must not decide.
var ErrUnknownType = errors.New("event type is unknown")

// kind is one row of the codec: a type and version as the log has it, the Go type that this drover folds it as, and what
// people are told of it. An older version keeps its row with an upcast that adds defaults, never meaning.
type kind struct {
	name     string
	zero     Event
	upcast   func(map[string]any) // nil for the newest version
	category category             // what triggers name; nil for facts that no trigger can name
	words    words
}

// kinds is the table of all that was ever written. Rows are added, never changed or removed.
var kinds = []kind{
	{"machine.added/v1", MachineAdded{}, nil, always(Added), say(sayMachineAdded)},
	{"machine.changed/v1", MachineChanged{}, nil, always(Changed), say(sayMachineChanged)},
	{"machine.enabled/v1", MachineEnabled{}, nil, always(Enabled), say(sayMachineEnabled)},
	{"machine.disabled/v1", MachineDisabled{}, nil, always(Disabled), say(sayMachineDisabled)},
	{"machine.came-online/v1", MachineCameOnline{}, nil, always(CameOnline), say(sayMachineCameOnline)},
	{"machine.went-offline/v1", MachineWentOffline{}, nil, always(WentOffline), say(sayMachineWentOffline)},
	{"machine.agent-connected/v1", AgentConnected{}, nil, nil, say(sayAgentConnected)},
	{"machine.health-changed/v1", MachineHealthChanged{}, nil, byHealth, say(sayMachineHealthChanged)},
	{"machine.deleted/v1", MachineDeleted{}, nil, always(Deleted), say(sayMachineDeleted)},
	{"machine.clean-up-held/v1", MachineCleanUpHeld{}, nil, nil, say(sayMachineCleanUpHeld)},
	{"project.defined/v1", ProjectDefined{}, nil, nil, say(sayProjectDefined)},
	{"project.enabled/v1", ProjectEnabled{}, nil, nil, say(sayProjectEnabled)},
	{"project.disabled/v1", ProjectDisabled{}, nil, nil, say(sayProjectDisabled)},
	{"project.deleted/v1", ProjectDeleted{}, nil, nil, say(sayProjectDeleted)},
	{"trigger.defined/v1", TriggerDefined{}, nil, nil, say(sayTriggerDefined)},
	{"trigger.enabled/v1", TriggerEnabled{}, nil, nil, say(sayTriggerEnabled)},
	{"trigger.disabled/v1", TriggerDisabled{}, nil, nil, say(sayTriggerDisabled)},
	{"trigger.deleted/v1", TriggerDeleted{}, nil, nil, say(sayTriggerDeleted)},
	{"release.created/v1", ReleaseCreated{}, nil, nil, say(sayReleaseCreated)},
	{"deployment.queued/v1", DeploymentQueued{}, nil, nil, say(sayDeploymentQueued)},
	{"deployment.parts-released/v1", PartsReleased{}, nil, nil, say(sayPartsReleased)},
	{"deployment.parts-withdrawn/v1", PartsWithdrawn{}, nil, nil, say(sayPartsWithdrawn)},
	{"deployment.cancelled/v1", DeploymentCancelled{}, nil, nil, say(sayDeploymentCancelled)},
	{"deployment.ended/v1", DeploymentEnded{}, nil, nil, say(sayDeploymentEnded)},
	{"pin.set/v1", PinSet{}, nil, nil, say(sayPinSet)},
	{"pin.lifted/v1", PinLifted{}, nil, nil, say(sayPinLifted)},
	{"hold.set/v1", HoldSet{}, nil, nil, say(sayHoldSet)},
	{"hold.lifted/v1", HoldLifted{}, nil, nil, say(sayHoldLifted)},
	{"part.claimed/v1", PartClaimed{}, nil, nil, say(sayPartClaimed)},
	{"part.ended/v1", PartEnded{}, nil, nil, say(sayPartEnded)},
	{"environment.defined/v1", EnvironmentDefined{}, nil, nil, say(sayEnvironmentDefined)},
	{"environment.deleted/v1", EnvironmentDeleted{}, nil, nil, say(sayEnvironmentDeleted)},
	{"policy.defined/v1", PolicyDefined{}, nil, nil, say(sayPolicyDefined)},
	{"policy.deleted/v1", PolicyDeleted{}, nil, nil, say(sayPolicyDeleted)},
	{"token.created/v1", TokenCreated{}, nil, nil, say(sayTokenCreated)},
	{"token.used/v1", TokenUsed{}, nil, nil, say(sayTokenUsed)},
	{"token.revoked/v1", TokenRevoked{}, nil, nil, say(sayTokenRevoked)},
	{"server.started/v1", ServerStarted{}, nil, nil, say(sayServerStarted)},
	{"watch.passed/v1", WatchPassed{}, nil, nil, say(sayWatchPassed)},
	{"stream.cleared/v1", StreamCleared{}, nil, nil, say(sayStreamCleared)},
	{"log.restored/v1", LogRestored{}, nil, nil, say(sayLogRestored)},
}

var (
	kindByName  = map[string]kind{}
	nameByType  = map[reflect.Type]string{}
	plainByName = map[string]form{} // how the data of a type is read where it is plain
	categoryOf  = map[reflect.Type]category{}
)

func init() {
	for _, k := range kinds {
		kindByName[k.name] = k
		if k.upcast == nil {
			nameByType[reflect.TypeOf(k.zero)] = k.name
			plainByName[k.name] = formOf(reflect.TypeOf(k.zero))
			if k.category != nil {
				categoryOf[reflect.TypeOf(k.zero)] = k.category
			}
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

// Knows says whether some version of a type is known: what a newer version of it says could matter to whoever knows the older.
func Knows(typeName string) bool {
	name, _, _ := strings.Cut(typeName, "/")
	return slices.ContainsFunc(kinds, func(k kind) bool { return strings.HasPrefix(k.name, name+"/") })
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
