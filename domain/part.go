package domain

// Part is the state of one machine's share of a deployment, as far as commands need it.
type Part struct {
	Project string
	State   PartState
	// Claimed means that a claim counted. Instance and Session identify the agent that made the claim.
	Claimed  bool
	Instance ID
	Session  ID
	// Reported means that the agent's result is in the log, in time or late.
	Reported bool
	// Killed means that a person asked to stop the claimed part.
	Killed bool
}

// Commands for parts.
type (
	// ClaimPart asks for permission to start a part.
	ClaimPart struct {
		Deployment ID     `json:"deployment"`
		Machine    string `json:"machine"`
		Session    ID     `json:"session"`
		Instance   ID     `json:"instance"`
	}
	// EndPart reports the result of a claimed part. A late result of a lost part is recorded: it shows which release the
	// machine has, but it does not reopen the part.
	EndPart struct {
		Deployment ID         `json:"deployment"`
		Machine    string     `json:"machine"`
		Session    ID         `json:"session"`
		Instance   ID         `json:"instance"`
		State      PartState  `json:"state"` // succeeded or failed
		Reason     PartReason `json:"reason"`
		Step       string     `json:"step"`
		ExitCode   int        `json:"exitCode"`
		Detail     string     `json:"detail"`
	}
)

// ByAgent reports whether an agent reported the end, as opposed to a server that decided it.
func (e PartEnded) ByAgent() bool { return e.State == PartSucceeded || e.State == PartFailed }

// Stream returns the stream of the part.
func (c ClaimPart) Stream(World) string { return PartStream(c.Deployment, c.Machine) }

// Stream returns the stream of the part.
func (c EndPart) Stream(World) string { return PartStream(c.Deployment, c.Machine) }

// Decide claims the part if the claim would count now. The fold decides whether the claim counts, at the position of
// the event.
func (c ClaimPart) Decide(w World) ([]Event, *Rejection) {
	p := w.Part(c.Deployment, c.Machine)
	if p == nil {
		return nil, partNotFound(c.Deployment, c.Machine)
	}
	if p.State == PartRunning && p.Session == c.Session {
		return nil, nil
	}
	if reason := w.ClaimCheck(c.Deployment, c.Machine, c.Session); reason != "" {
		return nil, conflict("part %s of machine %s cannot be claimed: %s", c.Deployment, c.Machine, reason)
	}
	return []Event{PartClaimed{Project: p.Project, Session: c.Session, Instance: c.Instance}}, nil
}

// Decide records one result from the instance that claimed the part.
func (c EndPart) Decide(w World) ([]Event, *Rejection) {
	p := w.Part(c.Deployment, c.Machine)
	switch {
	case p == nil:
		return nil, partNotFound(c.Deployment, c.Machine)
	case c.State != PartSucceeded && c.State != PartFailed:
		return nil, invalid("invalid state %.40q of an ended part", c.State).hint("use succeeded or failed")
	case !p.Claimed:
		return nil, conflict("part %s of machine %s was never claimed", c.Deployment, c.Machine).
			hint("claim the part before you run it")
	case p.Instance != c.Instance:
		return nil, conflict("part %s of machine %s was claimed by another instance", c.Deployment, c.Machine)
	case p.Reported:
		return nil, nil
	}
	reason := PartReason(truncate(string(c.Reason), MaxNameLength))
	if p.State != PartRunning && reason == "" {
		reason = LateReportOfResult
	}
	if reason == KilledByPerson && !p.Killed { // an agent cannot speak for a person
		reason = OtherAgentFailure
	}
	return []Event{PartEnded{Project: p.Project, State: c.State, Reason: reason, Step: truncate(c.Step, MaxNameLength),
		ExitCode: c.ExitCode, Detail: truncate(c.Detail, MaxDetailBytes), Session: c.Session}}, nil
}

func partNotFound(deployment ID, machine string) *Rejection {
	return notFound("deployment %s has no part on machine %.80q", deployment, machine)
}
