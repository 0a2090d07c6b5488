package domain

// Part is one machine's share of a deployment, as a command sees it.
type Part struct {
	Project string
	State   PartState
	// Claimed says that a claim counted; Instance and Session are its.
	Claimed  bool
	Instance ID
	Session  ID
	// Reported says that the agent's own result is in the log, be it in time or late.
	Reported bool
}

// Commands of a part.
type (
	// ClaimPart asks to start a part.
	ClaimPart struct {
		Deployment ID     `json:"deployment"`
		Machine    string `json:"machine"`
		Session    ID     `json:"session"`
		Instance   ID     `json:"instance"`
	}
	// EndPart reports the result of a claimed part. A part that was called lost takes a late result:
	// it says what the machine has and reopens nothing.
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

// ByAgent says that the end is the agent's own result, and no server's judgement.
func (e PartEnded) ByAgent() bool { return e.State == PartSucceeded || e.State == PartFailed }

// Stream is the part's.
func (c ClaimPart) Stream(World) string { return PartStream(c.Deployment, c.Machine) }

// Stream is the part's.
func (c EndPart) Stream(World) string { return PartStream(c.Deployment, c.Machine) }

// Decide appends a claim that would count. Only the fold says whether it did.
func (c ClaimPart) Decide(w World) ([]Event, *Rejection) {
	p := w.Part(c.Deployment, c.Machine)
	if p == nil {
		return nil, noPart(c.Deployment, c.Machine)
	}
	if p.State == PartRunning && p.Session == c.Session {
		return nil, nil
	}
	if reason := w.ClaimCheck(c.Deployment, c.Machine, c.Session); reason != "" {
		return nil, conflict("part %s of machine %s cannot be claimed: %s", c.Deployment, c.Machine, reason)
	}
	return []Event{PartClaimed{Project: p.Project, Session: c.Session, Instance: c.Instance}}, nil
}

// Decide takes one result from the instance that claimed.
func (c EndPart) Decide(w World) ([]Event, *Rejection) {
	p := w.Part(c.Deployment, c.Machine)
	switch {
	case p == nil:
		return nil, noPart(c.Deployment, c.Machine)
	case c.State != PartSucceeded && c.State != PartFailed:
		return nil, invalid("a part cannot end as %.40q", c.State).hint("use succeeded or failed")
	case !p.Claimed:
		return nil, conflict("part %s of machine %s was never claimed", c.Deployment, c.Machine).hint("claim it before it runs")
	case p.Instance != c.Instance:
		return nil, conflict("part %s of machine %s was claimed by another instance", c.Deployment, c.Machine)
	case p.Reported:
		return nil, nil
	}
	reason := PartReason(brief(string(c.Reason), MaxNameLength))
	if p.State != PartRunning && reason == "" {
		reason = LateReportOfResult
	}
	return []Event{PartEnded{Project: p.Project, State: c.State, Reason: reason, Step: brief(c.Step, MaxNameLength),
		ExitCode: c.ExitCode, Detail: brief(c.Detail, MaxDetailBytes), Session: c.Session}}, nil
}

func noPart(deployment ID, machine string) *Rejection {
	return notFound("deployment %s has no part on machine %.80q", deployment, machine)
}
