package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/droverhq/drover/domain"
)

// Random sessions begin, send heartbeats, are shifted and end. silentSince must return the same sessions as a scan of
// all sessions, longest silent first.
func TestSilentSinceReturnsTheSameSessionsAsAFullScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, walked, now := newContacts(), map[domain.ID]contact{}, time.Duration(0)
		session := func(t *rapid.T) domain.ID { return domain.ID{15: rapid.Byte().Draw(t, "session") % 10} }
		t.Repeat(map[string]func(*rapid.T){
			"heard": func(t *rapid.T) {
				id := session(t)
				c := contact{machine: fmt.Sprint(id[15] % 5), connect: id, at: now} // two sessions per machine
				all.record(c.machine, c.connect, now)
				walked[c.connect] = c
			},
			"pass": func(t *rapid.T) { now += time.Duration(rapid.IntRange(1, 60).Draw(t, "seconds")) * time.Second },
			"stopped": func(*rapid.T) {
				later := func(at time.Duration) time.Duration { return min(at+5*time.Second, now) }
				all.shift(later)
				for id, c := range walked {
					c.at = later(c.at)
					walked[id] = c
				}
			},
			"ended": func(t *rapid.T) { delete(walked, session(t)) },
			"": func(t *rapid.T) {
				var want []contact
				for _, c := range walked {
					if c.at < now-30*time.Second {
						want = append(want, c)
					}
				}
				live := func(c contact) bool { _, lives := walked[c.connect]; return lives }
				require.ElementsMatch(t, want, all.silentSince(now-30*time.Second, live))
			},
		})
	})
}

func TestContactsOfEndedSessionsAreDropped(t *testing.T) {
	all := newContacts()
	for i := range 1000 {
		all.record(fmt.Sprint(i), domain.ID{14: byte(i >> 8), 15: byte(i)}, 0)
	}
	all.silentSince(time.Minute, func(contact) bool { return false })
	require.Empty(t, all.of)
	require.Zero(t, all.order.Len())
}
