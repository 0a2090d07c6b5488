package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/query"
)

func TestEventsAreReadInPagesFromAnyPosition(t *testing.T) {
	f := newFixture(t)
	f.shop()
	var all, page explain.List[explain.Event]
	f.get("/events", &all)
	require.Greater(t, len(all.Items), 6)
	var seen []explain.Event
	for after := ""; ; after = page.Next {
		page = explain.List[explain.Event]{}
		f.get("/events?limit=3&after="+after, &page)
		seen = append(seen, page.Items...)
		if page.Next == "" {
			break
		}
	}
	require.Equal(t, all.Items, seen)
	require.Equal(t, "ServerStarted", all.Items[0].Type)
	var text string
	f.get("/events?limit=1", &text)
	require.Contains(t, text, `"causes":[]`)
}

func TestLiveStreamResumesWithoutGapsOrRepeats(t *testing.T) {
	f := newFixture(t)
	f.shop()
	var positions []string
	read := func(lastID string, most int, then func(n int)) {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		read := 0
		err := f.admin.Follow(ctx, "/events/stream", nil, lastID, func(m client.Message) error {
			var e explain.Event
			require.NoError(t, json.Unmarshal([]byte(m.Data), &e))
			require.Equal(t, e.Position, m.ID)
			positions = append(positions, e.Position)
			if read++; read == most {
				return client.ErrEnded
			}
			then(read)
			return nil
		})
		require.NoError(t, err)
	}
	quiet := func(int) {}
	read("0", 3, quiet)
	read(positions[len(positions)-1], 2, quiet)
	f.do(domain.ApplyEnvironment{Name: "e0"})
	read(positions[len(positions)-1], 20, func(n int) { // events that occur during the read arrive one by one
		f.do(domain.ApplyEnvironment{Name: fmt.Sprint("e", n)})
	})
	var want []string
	for rec, err := range f.log.ReadAll(context.Background(), 0, len(positions)) {
		require.NoError(t, err)
		want = append(want, rec.Position.String())
	}
	require.Equal(t, want, positions)
}

func TestStreamWithoutAPositionStartsWithNewEvents(t *testing.T) {
	f := newFixture(t)
	f.shop()
	r, err := http.NewRequest(http.MethodGet, f.server.URL+"/api/v1/events/stream", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+f.admin.Token)
	answer := f.raw(r)
	require.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
	began := fmt.Sprintf("id: %s\n", f.engine.Position())
	f.do(domain.ApplyEnvironment{Name: "staging"})
	text := make([]byte, 0, 500)
	for !bytes.Contains(text, []byte("EnvironmentDefined")) {
		more := make([]byte, 500)
		n, err := answer.Body.Read(more)
		require.NoError(t, err)
		text = append(text, more[:n]...)
	}
	require.NotContains(t, string(text), "ProjectDefined")
	require.True(t, bytes.HasPrefix(text, []byte(began)),
		"a reader without any event resumes at the start of the stream: %s", text)
	r.Header.Set("Last-Event-ID", "yesterday")
	require.Equal(t, 422, f.raw(r).StatusCode)
}

func TestOutputStreamFollowsUntilTheDeploymentEnds(t *testing.T) {
	f := newFixture(t)
	d, work := f.startPart()
	sendOutput := func(sequence int64, text string) {
		d.send(client.FromAgent{Output: &client.Output{Deployment: work.Deployment, Sequence: sequence, Data: []byte(text)}})
	}
	sendOutput(1, "one ")
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var text, last string
	follow := func(take func()) error {
		return f.admin.Follow(ctx, "/deployments/"+work.Deployment+"/output/stream", nil, last, func(m client.Message) error {
			var p query.Piece
			require.NoError(t, json.Unmarshal([]byte(m.Data), &p))
			text += string(p.Data)
			last = m.ID
			take()
			return nil
		})
	}
	stop := errors.New("enough")
	require.ErrorIs(
		t,
		f.admin.Follow(ctx, "/deployments/"+work.Deployment+"/output/stream", nil, "", func(m client.Message) error {
			last, text = m.ID, "one "
			return stop
		}),
		stop,
	)
	next := []func(){
		func() { sendOutput(3, "three ") },
		func() { d.send(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "succeeded"}}) },
	}
	sendOutput(2, "two ")
	sendOutput(2, "two again ")
	require.NoError(t, follow(func() {
		next[0]()
		next = append(next[1:], func() {})
	}))
	require.Equal(t, "one two three ", text)
	var pieces query.Pieces
	f.get("/deployments/"+work.Deployment+"/output?machine=web-01&after=2", &pieces)
	require.Len(t, pieces.Items, 1)
	require.Empty(t, pieces.Next)
	f.eventually("the deployment has ended", func() bool {
		f.get("/deployments/"+work.Deployment+"/output", &pieces)
		return pieces.Ended
	})
	_, err := f.admin.Get(ctx, "/deployments/"+work.Deployment+"/output", queryOf("/?machine=web-99"), nil)
	require.Equal(t, client.NotFound, client.KindOf(err))
	_, err = f.admin.Get(ctx, "/deployments/"+work.Deployment+"/output", queryOf("/?after=x"), nil)
	require.Equal(t, client.Invalid, client.KindOf(err))
}

func TestWhyExplainsTheStateNowAndAtAnEarlierPosition(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyMachine{Name: "web-01", Environment: "production"})
	before := f.engine.Position()
	f.clock.advance(time.Minute)
	f.do(domain.ConnectMachine{Name: "web-01", Server: f.engine.Server(), Session: domain.ID{1: 1},
		Instance: domain.ID{2: 1}})
	now := f.why("/why?machine=web-01")
	require.Equal(t, "behind", now.Reason)
	require.Equal(t, "deploy", now.Verdict)
	require.Equal(t, "1.0", now.Wanted)
	require.Len(t, now.Causes, 2)
	require.Equal(t, "MachineCameOnline", now.History[len(now.History)-1].Type)
	for _, at := range []string{before.String(), "%23" + before.String(), "2026-01-01T09:00:30Z"} {
		then := f.why("/why?machine=web-01&project=shop&at=" + at)
		require.Equal(t, "machine-unavailable", then.Reason, at)
		require.Contains(t, then.Sentence, "never been online", at)
		require.Equal(t, before.String(), then.At, at)
	}
	_, err := f.admin.Get(context.Background(), "/why", queryOf("/?machine=web-01&at=noon"), nil)
	require.Equal(t, client.Invalid, client.KindOf(err))
	_, err = f.admin.Get(context.Background(), "/why", queryOf("/?machine=web-01&at=1"), nil)
	require.Equal(t, client.NotFound, client.KindOf(err))
	require.ErrorContains(t, err, `machine "web-01" did not exist at #1`)
	_, err = f.admin.Get(context.Background(), "/why", queryOf("/?machine=nobody&at=1"), nil)
	require.ErrorContains(t, err, `machine "nobody" does not exist`)
	_, err = f.admin.Get(context.Background(), "/why", queryOf("/?machine=web-01&at=99999"), nil)
	require.Equal(t, client.Invalid, client.KindOf(err))
	require.ErrorContains(t, err, "beyond the end of the log, #"+f.engine.Position().String())
	_, err = f.admin.Get(context.Background(), "/why", queryOf("/?machine=web-01&project=nothing"), nil)
	require.Equal(t, client.NotFound, client.KindOf(err))
	_, err = f.admin.Get(context.Background(), "/why", nil, nil)
	require.Equal(t, client.Invalid, client.KindOf(err))
}

func (f *fixture) why(path string) explain.Why {
	f.t.Helper()
	var whys query.WhyAnswers
	f.get(path, &whys)
	require.Len(f.t, whys.Items, 1)
	return whys.Items[0]
}

func TestMonitoringRoutesNeedNoTokenOnLoopback(t *testing.T) {
	f := newFixture(t)
	f.shop()
	request := func(path string) (int, string) {
		answer, err := http.Get(f.server.URL + path)
		require.NoError(t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, string(text)
	}
	status, text := request("/healthz")
	require.Equal(t, 200, status, text)
	status, text = request("/readyz")
	require.Equal(t, 200, status, text)
	f.tick()
	f.api.Ticked(tickReport(f), time.Millisecond, nil)
	status, text = request("/metrics")
	require.Equal(t, 200, status)
	for _, name := range []string{"drover_tick_duration_seconds_count 1", "drover_agents_connected 0",
		"drover_commands_waiting 0", "drover_log_lag 0", "drover_log_position ", "drover_ready 1"} {
		require.Contains(t, text, name)
	}
	f.ready = errors.New("the disk is full\nand the lease is lost")
	status, text = request("/readyz")
	require.Equal(t, 503, status)
	require.Equal(t, "the disk is full\nand the lease is lost\n", text)
}

func TestSetAsideStreamIsReportedAndCanBeCleared(t *testing.T) {
	f := newFixture(t)
	f.shop()
	f.do(domain.ApplyMachine{Name: "web-01", Environment: "production"})
	_, err := f.log.Append(context.Background(), "machine/web-01", 0,
		eventlog.Event{ID: uuid.New(), Type: "machine.changed/v1", Time: f.clock.Now(), Data: []byte(`{"environment":""}`)})
	require.NoError(t, err)
	require.NoError(t, f.engine.CatchUp(context.Background()))
	answer, err := http.Get(f.server.URL + "/readyz")
	require.NoError(t, err)
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	require.Equal(t, 200, answer.StatusCode, "all other streams continue")
	require.Contains(t, string(text), "drover eventlog clear machine/web-01")
	require.Equal(t, client.Conflict, f.rejected("/machines/web-01/disable", nil).Kind)
	require.Equal(t, "set-aside", f.why("/why?machine=web-01").Reason)
	require.Equal(t, []string{"StreamCleared"}, f.post("/log/clear", object{"stream": "machine/web-01"}).Events)
	require.Equal(t, 404, f.rejected("/log/clear", object{"stream": "machine/web-01"}).Status)
	f.post("/machines/web-01/disable", nil)
	var verified query.Verified
	f.get("/log/verify", &verified)
	require.Nil(t, verified.Damaged)
	require.Equal(t, f.engine.Position().String(), verified.Head)
}

func TestStalledReaderDoesNotDelayOthers(t *testing.T) {
	f := newFixture(t)
	f.shop()
	r, err := http.NewRequest(http.MethodGet, f.server.URL+"/api/v1/events/stream?after=0", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+f.admin.Token)
	require.Equal(t, 200, f.raw(r).StatusCode)
	large := strings.Repeat("x", domain.MaxStepBytes)
	for n := range 80 { // far more than any connection buffers
		f.do(
			domain.ApplyProject{
				Name:     fmt.Sprint("p", n),
				Settings: domain.ProjectSettings{Steps: []domain.Step{{Name: "a", Run: large}}},
			},
		)
	}
	f.tick()
	var list explain.List[explain.Project]
	f.get("/projects", &list)
	require.Len(t, list.Items, 81)
	var page explain.List[explain.Event]
	f.get("/events?limit=5000", &page)
	require.NotEmpty(t, page.Next, "a page is also bounded in bytes")
}

func TestRemoteLoadBalancerReceivesOnlyTheStatus(t *testing.T) {
	f := newFixture(t)
	f.ready = errors.New("the disk of db-7 is full")
	request := func(path string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest(http.MethodGet, path, nil), httptest.NewRecorder()
		r.RemoteAddr = "10.0.0.9:4711"
		f.api.Handler().ServeHTTP(w, r)
		return w
	}
	for range 50 { // a probe does not count as a failed authentication
		require.Equal(t, 503, request("/readyz").Code)
	}
	require.Empty(t, request("/readyz").Body.String())
	f.ready = nil
	require.Equal(t, 200, request("/readyz").Code)
	require.Equal(t, 200, request("/healthz").Code)
	require.Equal(t, 401, request("/metrics").Code)
}

func TestStreamAfterAPositionBeyondTheLogIsRefused(t *testing.T) {
	f := newFixture(t)
	f.shop()
	var p *client.Problem
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := f.admin.Follow(ctx, "/events/stream", url.Values{"after": {"999"}}, "",
		func(client.Message) error { return nil })
	require.ErrorAs(t, err, &p)
	require.Equal(t, client.Conflict, p.Kind)
	require.Contains(t, p.Detail, "was it restored from a backup?")
}
