package domain

import "reflect"

// Commands for machine policies.
type (
	// ApplyPolicy creates a machine policy or changes its settings.
	ApplyPolicy struct {
		Name     string         `json:"name"`
		Settings PolicySettings `json:"settings"`
		Origin
	}
	// DeletePolicy deletes a machine policy that is not in use.
	DeletePolicy struct {
		Name string `json:"name"`
		Origin
	}
)

// Stream returns the stream of the policy.
func (c ApplyPolicy) Stream(World) string { return PolicyStream(c.Name) }

// Stream returns the stream of the policy.
func (c DeletePolicy) Stream(World) string { return PolicyStream(c.Name) }

// Decide creates the policy, or writes its new settings.
func (c ApplyPolicy) Decide(w World) ([]Event, *Rejection) {
	settings := c.Settings.WithDefaults()
	if r := CheckName("policy", c.Name); r != nil {
		return nil, r
	}
	if r := settings.Check(); r != nil {
		return nil, r
	}
	if settings.LostAfter < MinLostAfter { // not part of Check, because older logs may contain such settings
		return nil, invalid("invalid lostAfter %s: no agent claims a part that fast", settings.LostAfter).
			hint("use %s to %s", MinLostAfter, MaxAnyDuration)
	}
	if old := w.Policy(c.Name); old != nil && reflect.DeepEqual(*old, settings) {
		return nil, nil
	}
	return []Event{PolicyDefined{Settings: settings, Origin: c.Origin}}, nil
}

// Decide deletes the policy. It rejects the default policy and a policy that is in use.
func (c DeletePolicy) Decide(w World) ([]Event, *Rejection) {
	if c.Name == DefaultPolicy {
		return nil, conflict("policy %s cannot be deleted", DefaultPolicy).hint("apply it with different settings instead")
	}
	if w.Policy(c.Name) == nil {
		return nil, policyNotFound(c.Name)
	}
	if refs := w.References(PolicyStreams, c.Name); len(refs) > 0 {
		return nil, conflict("policy %s is in use by %s", c.Name, firstThree(refs)).
			hint("first assign another policy to the machines and revoke the join tokens")
	}
	return []Event{PolicyDeleted{Origin: c.Origin}}, nil
}

func policyNotFound(name string) *Rejection {
	return notFound("policy %.80q does not exist", name).
		hint("`drover get policies` lists them; apply a MachinePolicy to create one")
}
