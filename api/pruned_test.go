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

// deployTo runs a person's successful deployment to a machine.
func (f *fixture) deployTo(machine string) domain.ID {
	f.t.Helper()
	var m domain.Machine
	f.engine.Read(func(v *projections.View) { m = v.Machines[machine].Machine })
	d := f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production",
		Machines: []string{machine}}).Deployment
	f.do(domain.ClaimPart{Deployment: d, Machine: machine, Session: m.Session, Instance: m.Instance})
	f.do(
		domain.EndPart{
			Deployment: d,
			Machine:    machine,
			Session:    m.Session,
			Instance:   m.Instance,
			State:      domain.PartSucceeded,
		},
	)
	_, err := f.engine.React(context.Background())
	require.NoError(f.t, err)
	return d
}

func TestPrunedDeploymentIsReadFromTheLog(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyMachine{Name: "web-09", Environment: "production"})
	f.do(domain.ConnectMachine{Name: "web-09", Server: f.engine.Server(), Session: domain.ID{1: 9},
		Instance: domain.ID{2: 9}})
	first := f.deployTo("web-09")
	hello := eventlog.Item{Key: eventlog.OutputKey(uuid.UUID(first), "web-09"), Sequence: 1, Data: []byte("hello\n")}
	require.NoError(t, f.log.Add(context.Background(), eventlog.Output, hello))
	var before, after explain.Deployment
	f.get("/deployments/"+first.String(), &before)
	for range projections.RetainedDeployments {
		f.deployTo("web-09")
	}
	f.engine.Read(func(v *projections.View) { require.Nil(t, v.Deployments[first]) })

	f.get("/deployments/"+first.String(), &after)
	require.Equal(t, before, after)
	var pieces query.Pieces
	f.get("/deployments/"+first.String()+"/output", &pieces)
	require.Len(t, pieces.Items, 1)
	require.True(t, pieces.Ended)
	p := f.rejected("/deployments/"+first.String()+"/cancel", object{})
	require.Equal(t, client.Conflict, p.Kind)
	require.Contains(t, p.Detail, "has ended")

	var never explain.Deployment
	_, err := f.admin.Get(context.Background(), fmt.Sprintf("/deployments/%s", uuid.New()), nil, &never)
	require.ErrorContains(t, err, "does not exist")
}

// TestRepeatedCancelOfAPrunedDeploymentReturnsTheFirstAnswer covers a cancel that is sent again with its key after
// its deployment was pruned.
func TestRepeatedCancelOfAPrunedDeploymentReturnsTheFirstAnswer(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyMachine{Name: "web-09", Environment: "production"})
	f.do(domain.ConnectMachine{Name: "web-09", Server: f.engine.Server(), Session: domain.ID{1: 9},
		Instance: domain.ID{2: 9}})
	d := f.do(domain.Deploy{Project: "shop", Release: "1.0", Environment: "production",
		Machines: []string{"web-09"}}).Deployment
	key := uuid.NewString()
	cancel := func() (int, string) {
		req, err := http.NewRequest(http.MethodPost, f.server.URL+"/api/v1/deployments/"+d.String()+"/cancel",
			bytes.NewReader([]byte("{}")))
		require.NoError(t, err)
		req.Header.Set("Idempotency-Key", key)
		req.Header.Set("Authorization", "Bearer "+f.admin.Token)
		req.Header.Set("Content-Type", "application/json")
		res := f.raw(req)
		text, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(text)
	}
	code, text := cancel()
	require.Equal(t, 200, code, text)
	code, text = cancel()
	require.Equal(t, 200, code, "sent again: %s", text)
	for range projections.RetainedDeployments + 1 {
		f.deployTo("web-09")
	}
	code, text = cancel()
	require.Equal(t, 200, code, "sent again later: %s", text)
}
