package domain

// RotateServerKey replaces the key by which the servers of the log prove themselves. The new key is chosen by the caller
// and left out of the content, so that a repeated command is the same command.
type RotateServerKey struct {
	Public string `json:"-"`
	Secret string `json:"-"`
	Origin
}

// Stream returns the stream of the server key.
func (c RotateServerKey) Stream(World) string { return ServerKeyStream }

// Decide creates the new key.
func (c RotateServerKey) Decide(World) ([]Event, *Rejection) {
	if c.Public == "" || c.Secret == "" {
		return nil, invalid("a server key needs both halves")
	}
	return []Event{ServerKeyCreated(c)}, nil
}
