package api

// PlainSessions is how many sessions by plain HTTP the server remembers.
func (a *API) PlainSessions() int {
	a.hub.mu.Lock()
	defer a.hub.mu.Unlock()
	return len(a.hub.plain)
}
