package fleet

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
)

func TestShareExecutesCommandsUntilEndOfInput(t *testing.T) {
	commands := strings.NewReader(`{"Machines":2,"First":7,"Address":"127.0.0.1:1","Roles":["web"]}
		{"verb":"state"} {"verb":"offered","since":"2026-01-01T00:00:00Z"} {"verb":"dance"}
		{"verb":"connect","atOnce":2,"within":1000000}`)
	var out bytes.Buffer
	require.NoError(t, Serve(commands, &out))
	var answers []answer
	for decoder := json.NewDecoder(&out); decoder.More(); {
		var a answer
		require.NoError(t, decoder.Decode(&a))
		answers = append(answers, a)
	}
	require.Len(t, answers, 4)
	require.Equal(t, State{Errors: "map[]"}, answers[0].State)
	require.Empty(t, answers[1].Offered)
	require.Contains(t, answers[2].Error, `unknown command "dance"`)
	require.Contains(t, answers[3].Error, "0 of 2 agents are connected")
}

func TestSharesNumberMachinesConsecutively(t *testing.T) {
	f := New(Config{Machines: 2, First: 30_000, Roles: []string{"db", "web"}})
	defer f.Stop()
	require.Equal(t, "m-030000", f.agents[0].hello.Machine)
	require.Equal(t, "m-030001", f.agents[1].hello.Machine)
	require.NotNil(t, f.agents[0].from, "one address does not have enough ports")
}

func TestRepeatedOfferCountsOnce(t *testing.T) {
	f := New(Config{Machines: 1, Roles: []string{"web"}})
	defer f.Stop()
	f.SetAutoClaim(false)
	a := f.agents[0]
	for _, deployment := range []string{"one", "one"} {
		require.NoError(t, a.handle(nil, offerOf(deployment)))
	}
	require.Equal(t, []int{2, 1, 0}, []int{f.Offers(), f.FirstOffers(), f.Redeployed()})
	require.NoError(t, a.handle(nil, offerOf("two")))
	require.Equal(t, []int{3, 2, 1}, []int{f.Offers(), f.FirstOffers(), f.Redeployed()})
	require.Len(t, f.Offered(time.Time{}), 1)
}

func offerOf(deployment string) client.ToAgent {
	return client.ToAgent{Offer: &client.Work{Deployment: deployment}}
}
