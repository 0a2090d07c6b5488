package api_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
)

// leave ends the session of an agent, and waits until its machine is offline.
func (f *fixture) leave(d *fakeAgent) {
	f.t.Helper()
	d.send(client.FromAgent{Goodbye: &client.Goodbye{}})
	f.eventually("the machine is offline", func() bool { return f.machine(d.hello.Machine).Presence == "offline" })
	d.waitUntilClosed()
}

func TestAnotherInstanceCanUseANameOnlyWhenThatIsPermitted(t *testing.T) {
	f := newFixture(t)
	f.shop()
	join := f.join(0)
	first := f.dial(hello("web-01", join))
	receive(first, welcome)
	second := hello("web-01", join)
	refused := receive(f.dial(second), refusal)
	require.Contains(t, refused.Reason, "online as another instance")
	require.False(t, refused.Final)
	f.leave(first)
	refused = receive(f.dial(second), refusal)
	require.Contains(t, refused.Reason, "offline and belongs to another instance")
	require.Contains(t, refused.Reason, "drover machine reimage web-01")
	require.False(t, refused.Final)
	require.Equal(t, 1, f.events("TokenUsed"), "a refused agent does not use up the token")

	require.NoError(t, f.admin.Post(context.Background(), "/machines/web-01/reimage", "", object{}, nil))
	require.Contains(t, f.machine("web-01").Note, "another instance can take its name until")
	replaced := f.dial(second)
	receive(replaced, welcome)
	require.NotContains(t, f.machine("web-01").Note, "another instance")
	f.leave(replaced)
	require.Contains(t, receive(f.dial(first.hello), refusal).Reason, "belongs to another instance",
		"the first instance does not get the name back by itself")

	bound := f.token(domain.TokenSettings{Join: true, Uses: 1, Machine: "web-01"})
	require.Contains(t, receive(f.dial(hello("web-02", bound)), refusal).Reason, "does not allow machine")
	third := f.dial(hello("web-01", bound))
	receive(third, welcome)
	f.leave(third)
	require.NoError(t, f.admin.Post(context.Background(), "/machines/web-01/reimage", "", object{}, nil))
	fourth := f.dial(hello("web-01", join))
	receive(fourth, welcome)
	f.leave(fourth)
	require.Contains(t, receive(f.dial(third.hello), refusal).Reason, "belongs to another instance",
		"a bound token counts once")
}

func TestOfTwoInstancesThatTakeANameOneWins(t *testing.T) {
	f := newFixture(t)
	f.shop()
	servers := []*fixture{f, newFixtureOn(t, f.log, f.clock)}
	join := f.join(0)
	first := f.dial(hello("web-01", join))
	receive(first, welcome)
	f.leave(first)
	require.NoError(t, f.admin.Post(context.Background(), "/machines/web-01/reimage", "", object{}, nil))
	var group sync.WaitGroup
	answers := make(chan client.ToAgent, 10)
	for n := range cap(answers) {
		d := servers[n%2].dial(hello("web-01", join))
		group.Go(func() {
			answers <- receive(d, func(m client.ToAgent) *client.ToAgent {
				if m.Welcome == nil && m.Refused == nil {
					return nil
				}
				return &m
			})
		})
	}
	group.Wait()
	close(answers)
	welcomed := 0
	for m := range answers {
		if m.Welcome != nil {
			welcomed++
		} else {
			require.Contains(t, m.Refused.Reason, "another instance")
		}
	}
	require.Equal(t, 1, welcomed)
	require.Equal(t, 2, f.events("MachineCameOnline"))
}

func TestMachineDoesNotChangeByDeletingItself(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyEnvironment{Name: "staging"})
	h := hello("web-01", f.token(domain.TokenSettings{Join: true, Environments: []string{"production"}}))
	h.Roles = []string{"web"}
	stays := h
	stays.Machine, stays.Instance = "web-02", uuid.NewString()
	h.Ephemeral = true

	d := f.dial(stays)
	receive(d, welcome)
	d.send(client.FromAgent{Goodbye: &client.Goodbye{Delete: true}})
	f.eventually("the machine is offline", func() bool { return f.machine("web-02").Presence == "offline" })
	d.waitUntilClosed()
	require.Equal(t, "web-02", f.machine("web-02").Name, "it did not join as an ephemeral machine")

	d = f.dial(h)
	receive(d, welcome)
	f.do(domain.SetMachineEnabled{Name: "web-01"})
	f.do(domain.SetHold{Project: "shop", Machine: "web-01", Reason: "lab"})
	d.send(client.FromAgent{Goodbye: &client.Goodbye{Delete: true}})
	f.eventually("the machine is deleted", func() bool { return f.machine("web-01").Name == "" })
	d.waitUntilClosed()

	other := h
	other.Session, other.Environment, other.Roles = uuid.NewString(), "staging", []string{"db"}
	other.Join = f.token(domain.TokenSettings{Join: true, Environments: []string{"staging"}})
	d = f.dial(other)
	warnings := strings.Join(receive(d, welcome).Warnings, "\n")
	require.Contains(t, warnings, "--environment staging is ignored")
	require.Contains(t, warnings, "--role [db] is ignored")
	m := f.machine("web-01")
	require.Equal(t, []any{"production", []string{"web"}, false}, []any{m.Environment, m.Roles, m.Enabled})
	require.Contains(t, m.Note, "its agent asks for --environment staging --role db, which is ignored")
	d.send(client.FromAgent{Goodbye: &client.Goodbye{Delete: true}})
	f.eventually("the machine is deleted", func() bool { return f.machine("web-01").Name == "" })
	d.waitUntilClosed()

	fresh := other // another instance is a new machine, and what the person set stays
	fresh.Instance, fresh.Session = uuid.NewString(), uuid.NewString()
	receive(f.dial(fresh), welcome)
	m = f.machine("web-01")
	require.Equal(t, []any{"staging", []string{"db"}, false}, []any{m.Environment, m.Roles, m.Enabled})
	require.Len(t, m.Wanted, 1)
	require.True(t, m.Wanted[0].Held)
}

func TestDataFolderBelongsToOneMachine(t *testing.T) {
	f := newFixture(t)
	f.shop()
	join := f.join(0)
	first := f.dial(hello("web-01", join))
	receive(first, welcome)
	copied := first.hello
	copied.Machine, copied.Session = "web-02", uuid.NewString()
	for _, token := range []string{join, ""} {
		copied.Join = token
		refused := receive(f.dial(copied), refusal)
		require.Contains(t, refused.Reason, "data folder belongs to machine web-01 and cannot be used for machine \"web-02\"")
		require.False(t, refused.Final)
	}
	require.Empty(t, f.machine("web-02").Name)
	f.tick()
	require.Equal(t, "web-01", receive(first, offer).Machine, "the first agent continues")

	f.leave(first)
	f.do(domain.DeleteMachine{Name: "web-01"})
	copied.Join = join
	receive(f.dial(copied), welcome)
}

func TestJoinTokenNamesAnEnvironment(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyEnvironment{Name: "staging"})
	err := f.admin.Post(context.Background(), "/tokens", "", object{"join": true}, nil)
	require.ErrorContains(t, err, "there are several: production, staging")
	var minted struct {
		Token string `json:"token"`
	}
	require.NoError(t, f.admin.Post(context.Background(), "/tokens", "", object{"join": true, "anyEnvironment": true}, &minted))
	h := hello("web-01", minted.Token)
	h.Environment = "staging"
	receive(f.dial(h), welcome)
}
