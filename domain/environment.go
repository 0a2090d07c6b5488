package domain

// Commands for environments.
type (
	// ApplyEnvironment creates an environment.
	ApplyEnvironment struct {
		Name string `json:"name"`
		Origin
	}
	// DeleteEnvironment deletes an environment that is not in use.
	DeleteEnvironment struct {
		Name string `json:"name"`
		Origin
	}
)

// Stream returns the stream of the environment.
func (c ApplyEnvironment) Stream(World) string { return EnvironmentStream(c.Name) }

// Stream returns the stream of the environment.
func (c DeleteEnvironment) Stream(World) string { return EnvironmentStream(c.Name) }

// Decide creates the environment unless it exists.
func (c ApplyEnvironment) Decide(w World) ([]Event, *Rejection) {
	if r := CheckName("environment", c.Name); r != nil {
		return nil, r
	}
	if w.Environment(c.Name) {
		return nil, nil
	}
	return []Event{EnvironmentDefined{Origin: c.Origin}}, nil
}

// Decide deletes the environment. It rejects an environment that is in use.
func (c DeleteEnvironment) Decide(w World) ([]Event, *Rejection) {
	if !w.Environment(c.Name) {
		return nil, environmentNotFound(c.Name)
	}
	if refs := w.References(EnvironmentStreams, c.Name); len(refs) > 0 {
		return nil, conflict("environment %s is in use by %s", c.Name, firstThree(refs)).hint("delete or move them first")
	}
	return []Event{EnvironmentDeleted{Origin: c.Origin}}, nil
}

// firstThree joins at most three references for a message.
func firstThree(refs []string) string {
	text := ""
	for i, ref := range refs {
		switch {
		case i == 3:
			return text + " and others"
		case i > 0:
			text += ", "
		}
		text += ref
	}
	return text
}
