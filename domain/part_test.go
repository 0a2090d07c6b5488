package domain

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClaimPartWritesOnlyClaimsThatCount(t *testing.T) {
	w := shopWorld(t)
	claim := ClaimPart{Deployment: number(7), Machine: "web-01", Session: number(2), Instance: number(3)}
	w.rejects(claim, NotFound, "no part on machine", "web-01")
	part := &Part{Project: "shop", State: PartReleased}
	w.parts[claim.Stream(w)] = part
	require.Equal(t, []Event{PartClaimed{Project: "shop", Session: number(2), Instance: number(3)}}, w.do(claim))
	for _, reason := range []PartReason{NotReleased, MachineIsHeld, OldSession, AlreadyClaimed} {
		w.claimCheck = reason
		w.rejects(claim, Conflict, "cannot be claimed", string(reason))
	}
	part.State, part.Claimed, part.Session = PartRunning, true, number(2)
	require.Empty(t, w.do(claim), "the same claim again is no change")
	claim.Session = number(4)
	w.rejects(claim, Conflict, string(AlreadyClaimed))
}

func TestEndPartAcceptsOneResultFromTheClaimingInstance(t *testing.T) {
	w := shopWorld(t)
	end := EndPart{
		Deployment: number(7),
		Machine:    "web-01",
		Session:    number(2),
		Instance:   number(3),
		State:      PartSucceeded,
	}
	w.rejects(end, NotFound, "no part")
	part := &Part{Project: "shop", State: PartReleased}
	w.parts[end.Stream(w)] = part
	w.rejects(end, Conflict, "never claimed")
	*part = Part{Project: "shop", State: PartRunning, Claimed: true, Instance: number(3), Session: number(2)}
	require.Equal(t, []Event{PartEnded{Project: "shop", State: PartSucceeded, Session: number(2)}}, w.do(end))

	other := end
	other.Instance = number(4)
	w.rejects(other, Conflict, "claimed by another instance")
	for _, state := range []PartState{"", PartSkipped, PartLost, PartCancelled, "fine"} {
		wrong := end
		wrong.State = state
		w.rejects(wrong, Invalid, "use succeeded or failed")
	}
	t.Run("from another session of the same instance", func(t *testing.T) {
		later := end
		later.Session = number(9)
		require.Len(t, w.do(later), 1)
	})
	t.Run("after the part was declared lost", func(t *testing.T) {
		part.State = PartLost
		require.Equal(
			t,
			[]Event{PartEnded{Project: "shop", State: PartSucceeded, Reason: LateReportOfResult, Session: number(2)}},
			w.do(end),
		)
	})
	part.Reported = true
	require.Empty(t, w.do(end), "the same result again is no change")
}
