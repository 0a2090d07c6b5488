package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/query"
)

// deploysTo is a person's deployment to a machine that succeeds.
func (y *yard) deploysTo(machine string) domain.ID {
	y.t.Helper()
	var m domain.Machine
	y.engine.Read(func(v *projections.View) { m = v.Machines[machine].Machine })
	d := y.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production", Machines: []string{machine}}).Deployment
	y.do(domain.ClaimPart{Deployment: d, Machine: machine, Session: m.Session, Instance: m.Instance})
	y.do(domain.EndPart{Deployment: d, Machine: machine, Session: m.Session, Instance: m.Instance, State: domain.PartSucceeded})
	_, err := y.engine.React(context.Background())
	require.NoError(y.t, err)
	return d
}

func TestADeploymentThatTheViewHasForgottenIsReadFromTheLog(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.do(domain.ApplyMachine{Name: "web-09", Environment: "production"})
	y.do(domain.ConnectMachine{Name: "web-09", Server: y.engine.Server(), Session: domain.ID{1: 9}, Instance: domain.ID{2: 9}})
	first := y.deploysTo("web-09")
	hello := eventlog.Item{Key: eventlog.OutputKey(uuid.UUID(first), "web-09"), Sequence: 1, Data: []byte("hello\n")}
	require.NoError(t, y.log.Add(context.Background(), eventlog.Output, hello))
	var before, after explain.Deployment
	y.get("/deployments/"+first.String(), &before)
	for range projections.RetainedDeployments {
		y.deploysTo("web-09")
	}
	y.engine.Read(func(v *projections.View) { require.Nil(t, v.Deployments[first]) })

	y.get("/deployments/"+first.String(), &after)
	require.Equal(t, before, after)
	var pieces query.Pieces
	y.get("/deployments/"+first.String()+"/output", &pieces)
	require.Len(t, pieces.Items, 1)
	require.True(t, pieces.Ended)
	p := y.refused("/deployments/"+first.String()+"/cancel", object{})
	require.Equal(t, client.Conflict, p.Kind)
	require.Contains(t, p.Detail, "has ended")

	var never explain.Deployment
	_, err := y.admin.Get(context.Background(), fmt.Sprintf("/deployments/%s", uuid.New()), nil, &never)
	require.ErrorContains(t, err, "does not exist")
}

// A cancel that was accepted is sent again under its key once its deployment is forgotten: the first answer is no longer given.
func TestACancelThatIsSentAgainLongAfterHasItsFirstAnswer(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.do(domain.ApplyMachine{Name: "web-09", Environment: "production"})
	y.do(domain.ConnectMachine{Name: "web-09", Server: y.engine.Server(), Session: domain.ID{1: 9}, Instance: domain.ID{2: 9}})
	d := y.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production", Machines: []string{"web-09"}}).Deployment
	key := uuid.NewString()
	cancel := func() (int, string) {
		req, err := http.NewRequest(http.MethodPost, y.door.URL+"/api/v1/deployments/"+d.String()+"/cancel", bytes.NewReader([]byte("{}")))
		require.NoError(t, err)
		req.Header.Set("Idempotency-Key", key)
		req.Header.Set("Authorization", "Bearer "+y.admin.Token)
		req.Header.Set("Content-Type", "application/json")
		res := y.raw(req)
		text, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(text)
	}
	code, text := cancel()
	require.Equal(t, 200, code, text)
	code, text = cancel()
	require.Equal(t, 200, code, "sent again: %s", text)
	for range projections.RetainedDeployments + 1 {
		y.deploysTo("web-09")
	}
	code, text = cancel()
	require.Equal(t, 200, code, "sent again later: %s", text)
}
