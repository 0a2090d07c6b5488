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

// ErrUnknownType means that a newer version of drover wrote the event. This version may continue to read but must not
// decide.
var ErrUnknownType = errors.New("unknown event type")

// eventType is one row of the table of event types: the name and version in the log, the Go type, and how to describe
// the event. Older versions keep their rows, with an upcast that adds default values for new fields and never changes
// what the event means.
type eventType struct {
	name     string
	zero     Event
	upcast   func(map[string]any) // nil for the newest version
	category categorizer          // nil if triggers cannot react to the event
	describe describer
}

// eventTypes lists every type and version that any version of drover has written. Rows are added, never changed or
// removed.
var eventTypes = []eventType{
	{"machine.added/v1", MachineAdded{}, nil, always(Added), describeWith(describeMachineAdded)},
	{"machine.changed/v1", MachineChanged{}, nil, always(Changed), describeWith(describeMachineChanged)},
	{"machine.enabled/v1", MachineEnabled{}, nil, always(Enabled), describeWith(describeMachineEnabled)},
	{"machine.disabled/v1", MachineDisabled{}, nil, always(Disabled), describeWith(describeMachineDisabled)},
	{"machine.came-online/v1", MachineCameOnline{}, nil, always(CameOnline), describeWith(describeMachineCameOnline)},
	{"machine.went-offline/v1", MachineWentOffline{}, nil, always(WentOffline), describeWith(describeMachineWentOffline)},
	{"machine.agent-connected/v1", AgentConnected{}, nil, nil, describeWith(describeAgentConnected)},
	{"machine.health-changed/v1", MachineHealthChanged{}, nil, byHealth, describeWith(describeMachineHealthChanged)},
	{"machine.deleted/v1", MachineDeleted{}, nil, always(Deleted), describeWith(describeMachineDeleted)},
	{"machine.clean-up-undone/v1", MachineCleanUpUndone{}, nil, always(Added), describeWith(describeMachineCleanUpUndone)},
	{"machine.clean-up-held/v1", MachineCleanUpHeld{}, nil, nil, describeWith(describeMachineCleanUpHeld)},
	{"machine.reimage-allowed/v1", MachineReimageAllowed{}, nil, nil, describeWith(describeMachineReimageAllowed)},
	{"machine.lost-state/v1", MachineLostState{}, nil, nil, describeWith(describeMachineLostState)},
	{"machine.memory-accepted/v1", MachineMemoryAccepted{}, nil, nil, describeWith(describeMachineMemoryAccepted)},
	{"machine.memory-cleared/v1", MachineMemoryCleared{}, nil, nil, describeWith(describeMachineMemoryCleared)},
	{"machine.conditions-changed/v1", MachineConditionsChanged{}, nil, nil, describeWith(describeMachineConditionsChanged)},
	{"project.defined/v1", ProjectDefined{}, nil, nil, describeWith(describeProjectDefined)},
	{"project.enabled/v1", ProjectEnabled{}, nil, nil, describeWith(describeProjectEnabled)},
	{"project.disabled/v1", ProjectDisabled{}, nil, nil, describeWith(describeProjectDisabled)},
	{"project.deleted/v1", ProjectDeleted{}, nil, nil, describeWith(describeProjectDeleted)},
	{"trigger.defined/v1", TriggerDefined{}, nil, nil, describeWith(describeTriggerDefined)},
	{"trigger.enabled/v1", TriggerEnabled{}, nil, nil, describeWith(describeTriggerEnabled)},
	{"trigger.disabled/v1", TriggerDisabled{}, nil, nil, describeWith(describeTriggerDisabled)},
	{"trigger.deleted/v1", TriggerDeleted{}, nil, nil, describeWith(describeTriggerDeleted)},
	{"release.created/v1", ReleaseCreated{}, nil, nil, describeWith(describeReleaseCreated)},
	{"release.retired/v1", ReleaseRetired{}, nil, nil, describeWith(describeReleaseRetired)},
	{"release.restored/v1", ReleaseRestored{}, nil, nil, describeWith(describeReleaseRestored)},
	{"deployment.queued/v1", DeploymentQueued{}, nil, nil, describeWith(describeDeploymentQueued)},
	{"deployment.parts-released/v1", PartsReleased{}, nil, nil, describeWith(describePartsReleased)},
	{"deployment.parts-withdrawn/v1", PartsWithdrawn{}, nil, nil, describeWith(describePartsWithdrawn)},
	{"deployment.accepted/v1", DeploymentAccepted{}, nil, nil, describeWith(describeDeploymentAccepted)},
	{"deployment.cancelled/v1", DeploymentCancelled{}, nil, nil, describeWith(describeDeploymentCancelled)},
	{"deployment.ended/v1", DeploymentEnded{}, nil, nil, describeWith(describeDeploymentEnded)},
	{"pin.set/v1", PinSet{}, nil, nil, describeWith(describePinSet)},
	{"pin.lifted/v1", PinLifted{}, nil, nil, describeWith(describePinLifted)},
	{"hold.set/v1", HoldSet{}, nil, nil, describeWith(describeHoldSet)},
	{"hold.lifted/v1", HoldLifted{}, nil, nil, describeWith(describeHoldLifted)},
	{"part.claimed/v1", PartClaimed{}, nil, nil, describeWith(describePartClaimed)},
	{"part.ended/v1", PartEnded{}, nil, nil, describeWith(describePartEnded)},
	{"part.verified/v1", PartVerified{}, nil, nil, describeWith(describePartVerified)},
	{"environment.defined/v1", EnvironmentDefined{}, nil, nil, describeWith(describeEnvironmentDefined)},
	{"environment.deleted/v1", EnvironmentDeleted{}, nil, nil, describeWith(describeEnvironmentDeleted)},
	{"policy.defined/v1", PolicyDefined{}, nil, nil, describeWith(describePolicyDefined)},
	{"policy.deleted/v1", PolicyDeleted{}, nil, nil, describeWith(describePolicyDeleted)},
	{"token.created/v1", TokenCreated{}, nil, nil, describeWith(describeTokenCreated)},
	{"token.used/v1", TokenUsed{}, nil, nil, describeWith(describeTokenUsed)},
	{"token.verifier-registered/v1", VerifierRegistered{}, nil, nil, describeWith(describeVerifierRegistered)},
	{"token.revoked/v1", TokenRevoked{}, nil, nil, describeWith(describeTokenRevoked)},
	{"server-key.created/v1", ServerKeyCreated{}, nil, nil, describeWith(describeServerKeyCreated)},
	{"server.started/v1", ServerStarted{}, nil, nil, describeWith(describeServerStarted)},
	{"watch.passed/v1", WatchPassed{}, nil, nil, describeWith(describeWatchPassed)},
	{"stream.cleared/v1", StreamCleared{}, nil, nil, describeWith(describeStreamCleared)},
	{"log.restored/v1", LogRestored{}, nil, nil, describeWith(describeLogRestored)},
	{"access.defined/v1", AccessDefined{}, nil, nil, describeWith(describeAccessDefined)},
	{"access.deleted/v1", AccessDeleted{}, nil, nil, describeWith(describeAccessDeleted)},
}

var (
	eventTypeByName = map[string]eventType{}
	nameByType      = map[reflect.Type]string{}
	fastDecoders    = map[string]decoder{} // by on-disk type name
	categoryOf      = map[reflect.Type]categorizer{}
)

func init() {
	for _, k := range eventTypes {
		eventTypeByName[k.name] = k
		if k.upcast == nil {
			nameByType[reflect.TypeOf(k.zero)] = k.name
			fastDecoders[k.name] = decoderOf(reflect.TypeOf(k.zero))
			if k.category != nil {
				categoryOf[reflect.TypeOf(k.zero)] = k.category
			}
		}
	}
}

// TypeName returns the on-disk name of e with its newest version.
func TypeName(e Event) string { return nameByType[reflect.TypeOf(e)] }

// Name returns the name of e that is shown to people, such as MachineCameOnline.
func Name(e Event) string { return reflect.TypeOf(e).Name() }

// NameOfType returns the Name for an on-disk type name. It returns an unknown type name unchanged.
func NameOfType(typeName string) string {
	if k, ok := eventTypeByName[typeName]; ok {
		return Name(k.zero)
	}
	return typeName
}

// IsKnownType reports whether any version of an on-disk type name is known.
func IsKnownType(typeName string) bool {
	name, _, _ := strings.Cut(typeName, "/")
	return slices.ContainsFunc(eventTypes, func(k eventType) bool { return strings.HasPrefix(k.name, name+"/") })
}

// TypeNames returns every on-disk type name, with all versions, in the order of the table.
func TypeNames() []string {
	names := make([]string, len(eventTypes))
	for i, k := range eventTypes {
		names[i] = k.name
	}
	return names
}

// Encode returns the on-disk type name of e and its data, a JSON object.
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

// Decode decodes an event that this or an older version of drover wrote. It returns ErrUnknownType for an unknown type
// or version. Any other error means that the event cannot be folded. Unknown fields are ignored because a newer version
// of drover may have added them.
func Decode(typeName string, data []byte) (Event, error) {
	k, ok := eventTypeByName[typeName]
	if !ok {
		return nil, fmt.Errorf("decode %.80q: %w", typeName, ErrUnknownType)
	}
	v := reflect.New(reflect.TypeOf(k.zero))
	if decodeFast(fastDecoders[typeName], data, v.Elem()) {
		return v.Elem().Interface().(Event), nil //nolint:forcetypeassert // the table contains only events
	}
	v.Elem().SetZero()
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return nil, fmt.Errorf("decode %s: the data is not a JSON object", typeName)
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
	return v.Elem().Interface().(Event), nil //nolint:forcetypeassert // the table contains only events
}
