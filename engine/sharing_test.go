package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
)

// shared is a holder of the session of box-01 and another server, to which the agent of box-01 sends its heartbeats.
type shared struct {
	*fixture
	other *engine.Engine
	// stores are the stores of the holder and of the other server.
	stores [2]eventlog.Store
}

func newShared(t *testing.T) *shared {
	f := &shared{fixture: newFixture(t)}
	f.stores = [2]eventlog.Store{f.log, f.log}
	f.shop()
	f.other = f.server(2)
	f.seconds(0)
	f.join("box-01", 1)
	f.HeartbeatOverHTTP("box-01", f.connect("box-01"))
	return f
}

// seconds lets time pass for both servers. A heartbeat reaches the other server every tenth second, unless silent.
func (f *shared) seconds(n int, silent ...bool) {
	f.t.Helper()
	for i := range n + 1 {
		if i > 0 {
			f.clock.now += time.Second
		}
		if i%10 == 9 && len(silent) == 0 {
			_ = f.other.ForwardHeartbeat(f.connect("box-01"))
		}
		for _, e := range []*engine.Engine{f.Engine, f.other} {
			require.NoError(f.t, e.RenewLease(context.Background(), f.log))
		}
		_ = f.other.ShareContacts(context.Background(), f.stores[1])
		_ = f.ShareContacts(context.Background(), f.stores[0])
		f.pass(0)
	}
}

func TestHeartbeatsThatReachAnotherServerKeepTheMachineOnlineWithoutAnEvent(t *testing.T) {
	f := newShared(t)
	before := f.Position()
	f.seconds(600)
	require.True(t, f.online("box-01"))
	require.Equal(t, before, f.Position())
}

func TestMachineThatIsSilentOnAllServersGoesOffline(t *testing.T) {
	f := newShared(t)
	f.seconds(100) // the last heartbeat was a second ago
	f.seconds(30, true)
	require.True(t, f.online("box-01"), "a heartbeat of 30 s ago may be on its way for 2 s")
	f.seconds(3, true)
	require.False(t, f.online("box-01"))
}

func TestMachineOfASingleServerIsNotGrantedMoreTime(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.join("box-01", 1)
	f.HeartbeatOverHTTP("box-01", f.connect("box-01"))
	require.NoError(t, f.RenewLease(t.Context(), f.log))
	require.NoError(t, f.ShareContacts(t.Context(), f.log))
	f.pass(31 * time.Second)
	require.False(t, f.online("box-01"))
}

// brokenStore fails.
type brokenStore struct{ eventlog.Store }

var errBroken = errors.New("the store is broken")

func (brokenStore) Put(context.Context, eventlog.Collection, eventlog.Item) error { return errBroken }

func (brokenStore) Newest(context.Context, eventlog.Collection) (map[string]eventlog.Item, error) {
	return nil, errBroken
}

// TestServerThatCannotPassOnHeartbeatsSaysSo is also the control of the tests above: without news from the other server,
// the machine goes offline.
func TestServerThatCannotPassOnHeartbeatsSaysSo(t *testing.T) {
	f := newShared(t)
	f.stores[1] = brokenStore{}
	f.seconds(20)
	require.ErrorIs(t, f.other.ForwardHeartbeat(f.connect("box-01")), eventlog.ErrUnavailable)
	f.seconds(20)
	require.False(t, f.online("box-01"))
	f.stores[1] = f.log
	f.seconds(1)
	require.NoError(t, f.other.ForwardHeartbeat(f.connect("box-01")))
}

func TestHolderThatCannotReadTheListsCallsNoMachineSilent(t *testing.T) {
	f := newShared(t)
	f.stores[0] = brokenStore{}
	f.seconds(120)
	require.True(t, f.online("box-01"))
	f.stores[0] = f.log
	f.seconds(2)
	require.True(t, f.online("box-01"), "the other server has heard from it")
}

func TestListOfContactsIsBoundedAndKeepsTheNewest(t *testing.T) {
	f := newShared(t)
	for range 5000 {
		_ = f.other.ForwardHeartbeat(domain.ID(uuid.New()))
	}
	f.clock.now += time.Second
	newest := domain.ID(uuid.New())
	require.NoError(t, f.other.ForwardHeartbeat(newest))
	require.NoError(t, f.other.ShareContacts(t.Context(), f.log))
	lists, err := f.log.Newest(t.Context(), eventlog.Contacts)
	require.NoError(t, err)
	data := lists[f.other.Server().String()].Data
	require.Len(t, data, eventlog.MaxContactsBytes/18*18)
	require.Equal(t, newest[:], data[:16])
	require.NoError(t, f.other.DropContacts(t.Context(), f.log))
	lists, err = f.log.Newest(t.Context(), eventlog.Contacts)
	require.NoError(t, err)
	require.Empty(t, lists)
}
