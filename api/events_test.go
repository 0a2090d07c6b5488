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
	y := newYard(t)
	y.shop()
	var all, page explain.List[explain.Event]
	y.get("/events", &all)
	require.Greater(t, len(all.Items), 6)
	var seen []explain.Event
	for after := ""; ; after = page.Next {
		page = explain.List[explain.Event]{}
		y.get("/events?limit=3&after="+after, &page)
		seen = append(seen, page.Items...)
		if page.Next == "" {
			break
		}
	}
	require.Equal(t, all.Items, seen)
	require.Equal(t, "ServerStarted", all.Items[0].Type)
	var text string
	y.get("/events?limit=1", &text)
	require.Contains(t, text, `"causes":[]`)
}

func TestALiveStreamResumesWithoutGapOrRepeat(t *testing.T) {
	y := newYard(t)
	y.shop()
	var positions []string
	read := func(lastID string, most int, then func(n int)) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		read := 0
		err := y.admin.Follow(ctx, "/events/stream", nil, lastID, func(m client.Message) error {
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
	y.do(domain.ApplyEnvironment{Name: "e0"})
	read(positions[len(positions)-1], 20, func(n int) { // what happens while it is read comes too, one by one
		y.do(domain.ApplyEnvironment{Name: fmt.Sprint("e", n)})
	})
	var want []string
	for rec, err := range y.log.ReadAll(context.Background(), 0, len(positions)) {
		require.NoError(t, err)
		want = append(want, rec.Position.String())
	}
	require.Equal(t, want, positions)
}

func TestAStreamWithoutAPositionBeginsNow(t *testing.T) {
	y := newYard(t)
	y.shop()
	r, err := http.NewRequest(http.MethodGet, y.door.URL+"/api/v1/events/stream", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+y.admin.Token)
	answer := y.raw(r)
	require.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
	began := fmt.Sprintf("id: %s\n", y.engine.Position())
	y.do(domain.ApplyEnvironment{Name: "staging"})
	text := make([]byte, 0, 500)
	for !bytes.Contains(text, []byte("EnvironmentDefined")) {
		more := make([]byte, 500)
		n, err := answer.Body.Read(more)
		require.NoError(t, err)
		text = append(text, more[:n]...)
	}
	require.NotContains(t, string(text), "ProjectDefined")
	require.True(t, bytes.HasPrefix(text, []byte(began)), "who is cut off before the first event resumes where the stream began: %s", text)
	r.Header.Set("Last-Event-ID", "yesterday")
	require.Equal(t, 422, y.raw(r).StatusCode)
}

func TestOutputIsFollowedWhileItComesUntilTheDeploymentEnds(t *testing.T) {
	y := newYard(t)
	y.shop()
	d := y.dial(hello("web-01", y.join(1)))
	hears(d, welcome)
	y.tick()
	work := hears(d, offer)
	d.say(client.FromAgent{Claim: &client.Claim{Deployment: work.Deployment}})
	hears(d, claimed)
	say := func(sequence int64, text string) {
		d.say(client.FromAgent{Output: &client.Output{Deployment: work.Deployment, Sequence: sequence, Data: []byte(text)}})
	}
	say(1, "one ")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var text, last string
	follow := func(take func()) error {
		return y.admin.Follow(ctx, "/deployments/"+work.Deployment+"/output/stream", nil, last, func(m client.Message) error {
			var p query.Piece
			require.NoError(t, json.Unmarshal([]byte(m.Data), &p))
			text += string(p.Data)
			last = m.ID
			take()
			return nil
		})
	}
	stop := errors.New("enough")
	require.ErrorIs(t, y.admin.Follow(ctx, "/deployments/"+work.Deployment+"/output/stream", nil, "", func(m client.Message) error {
		last, text = m.ID, "one "
		return stop
	}), stop)
	next := []func(){
		func() { say(3, "three ") },
		func() { d.say(client.FromAgent{End: &client.End{Deployment: work.Deployment, State: "succeeded"}}) },
	}
	say(2, "two ")
	say(2, "two again ")
	require.NoError(t, follow(func() {
		next[0]()
		next = append(next[1:], func() {})
	}))
	require.Equal(t, "one two three ", text)
	var pieces query.Pieces
	y.get("/deployments/"+work.Deployment+"/output?machine=web-01&after=2", &pieces)
	require.Len(t, pieces.Items, 1)
	require.Empty(t, pieces.Next)
	y.eventually("the deployment has ended", func() bool {
		y.get("/deployments/"+work.Deployment+"/output", &pieces)
		return pieces.Ended
	})
	_, err := y.admin.Get(ctx, "/deployments/"+work.Deployment+"/output", queryOf("/?machine=web-99"), nil)
	require.Equal(t, client.NotFound, client.KindOf(err))
	_, err = y.admin.Get(ctx, "/deployments/"+work.Deployment+"/output", queryOf("/?after=x"), nil)
	require.Equal(t, client.Invalid, client.KindOf(err))
}

func TestWhyAnswersNowAndAsItWas(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.do(domain.ApplyMachine{Name: "web-01", Environment: "production"})
	before := y.engine.Position()
	y.clock.move(time.Minute)
	y.do(domain.ConnectMachine{Name: "web-01", Server: y.engine.Server(), Session: domain.ID{1: 1}, Instance: domain.ID{2: 1}})
	now := y.why("/why?machine=web-01")
	require.Equal(t, "behind", now.Reason)
	require.Equal(t, "deploy", now.Verdict)
	require.Equal(t, "1.0", now.Wanted)
	require.Len(t, now.Causes, 2)
	require.Equal(t, "MachineCameOnline", now.History[len(now.History)-1].Type)
	for _, at := range []string{before.String(), "%23" + before.String(), "2026-01-01T09:00:30Z"} {
		then := y.why("/why?machine=web-01&project=shop&at=" + at)
		require.Equal(t, "machine-unavailable", then.Reason, at)
		require.Contains(t, then.Sentence, "never been online", at)
		require.Equal(t, before.String(), then.At, at)
	}
	_, err := y.admin.Get(context.Background(), "/why", queryOf("/?machine=web-01&at=noon"), nil)
	require.Equal(t, client.Invalid, client.KindOf(err))
	_, err = y.admin.Get(context.Background(), "/why", queryOf("/?machine=web-01&at=1"), nil)
	require.Equal(t, client.NotFound, client.KindOf(err))
	require.ErrorContains(t, err, `machine "web-01" did not exist at 1`)
	_, err = y.admin.Get(context.Background(), "/why", queryOf("/?machine=nobody&at=1"), nil)
	require.ErrorContains(t, err, `machine "nobody" does not exist`)
	_, err = y.admin.Get(context.Background(), "/why", queryOf("/?machine=web-01&at=99999"), nil)
	require.Equal(t, client.Invalid, client.KindOf(err))
	require.ErrorContains(t, err, "beyond the end of the log, #"+y.engine.Position().String())
	_, err = y.admin.Get(context.Background(), "/why", queryOf("/?machine=web-01&project=nothing"), nil)
	require.Equal(t, client.NotFound, client.KindOf(err))
	_, err = y.admin.Get(context.Background(), "/why", nil, nil)
	require.Equal(t, client.Invalid, client.KindOf(err))
}

func (y *yard) why(path string) explain.Why {
	y.t.Helper()
	var whys query.WhyAnswers
	y.get(path, &whys)
	require.Len(y.t, whys.Items, 1)
	return whys.Items[0]
}

func TestWhatWatchesTheServerNeedsNoTokenHere(t *testing.T) {
	y := newYard(t)
	y.shop()
	look := func(path string) (int, string) {
		answer, err := http.Get(y.door.URL + path)
		require.NoError(t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, string(text)
	}
	status, text := look("/healthz")
	require.Equal(t, 200, status, text)
	status, text = look("/readyz")
	require.Equal(t, 200, status, text)
	y.tick()
	y.api.Ticked(engineReport(y), time.Millisecond, nil)
	status, text = look("/metrics")
	require.Equal(t, 200, status)
	for _, name := range []string{"drover_tick_duration_seconds_count 1", "drover_agents_connected 0", "drover_log_lag 0", "drover_log_position ", "drover_ready 1"} {
		require.Contains(t, text, name)
	}
	y.ready = errors.New("the disk is full\nand the door is open")
	status, text = look("/readyz")
	require.Equal(t, 503, status)
	require.Equal(t, "the disk is full\nand the door is open\n", text)
}

func TestAStreamThatIsSetAsideIsNamedAndCleared(t *testing.T) {
	y := newYard(t)
	y.shop()
	y.do(domain.ApplyMachine{Name: "web-01", Environment: "production"})
	_, err := y.log.Append(context.Background(), "machine/web-01", 0, eventlog.Event{ID: uuid.New(), Type: "machine.changed/v1", Time: y.clock.Now(), Data: []byte(`{"environment":""}`)})
	require.NoError(t, err)
	require.NoError(t, y.engine.CatchUp(context.Background()))
	answer, err := http.Get(y.door.URL + "/readyz")
	require.NoError(t, err)
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	require.Equal(t, 200, answer.StatusCode, "all others go on")
	require.Contains(t, string(text), "drover eventlog clear machine/web-01")
	require.Equal(t, client.Conflict, y.refused("/machines/web-01/disable", nil).Kind)
	require.Equal(t, "set-aside", y.why("/why?machine=web-01").Reason)
	require.Equal(t, []string{"StreamCleared"}, y.post("/log/clear", object{"stream": "machine/web-01"}).Events)
	require.Equal(t, 404, y.refused("/log/clear", object{"stream": "machine/web-01"}).Status)
	y.post("/machines/web-01/disable", nil)
	var verified query.Verified
	y.get("/log/verify", &verified)
	require.Nil(t, verified.Damaged)
	require.Equal(t, y.engine.Position().String(), verified.Head)
}

func TestAReaderThatTakesNothingHoldsUpNobody(t *testing.T) {
	y := newYard(t)
	y.shop()
	r, err := http.NewRequest(http.MethodGet, y.door.URL+"/api/v1/events/stream?after=0", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+y.admin.Token)
	require.Equal(t, 200, y.raw(r).StatusCode)
	large := strings.Repeat("x", domain.MaxStepBytes)
	for n := range 80 { // far more than any connection buffers
		y.do(domain.ApplyProject{Name: fmt.Sprint("p", n), Settings: domain.ProjectSettings{Steps: []domain.Step{{Name: "a", Run: large}}}})
	}
	y.tick()
	var list explain.List[explain.Project]
	y.get("/projects", &list)
	require.Len(t, list.Items, 81)
	var page explain.List[explain.Event]
	y.get("/events?limit=5000", &page)
	require.NotEmpty(t, page.Next, "a page is bounded by bytes too")
}

func TestALoadBalancerElsewhereIsToldTheStatusAlone(t *testing.T) {
	y := newYard(t)
	y.ready = errors.New("the disk of db-7 is full")
	look := func(path string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest(http.MethodGet, path, nil), httptest.NewRecorder()
		r.RemoteAddr = "10.0.0.9:4711"
		y.api.Handler().ServeHTTP(w, r)
		return w
	}
	for range 50 { // a probe is no failed login
		require.Equal(t, 503, look("/readyz").Code)
	}
	require.Empty(t, look("/readyz").Body.String())
	y.ready = nil
	require.Equal(t, 200, look("/readyz").Code)
	require.Equal(t, 200, look("/healthz").Code)
	require.Equal(t, 401, look("/metrics").Code)
}

func TestAReaderWhoHasReadFurtherThanTheLogGoesIsToldSo(t *testing.T) {
	y := newYard(t)
	y.shop()
	var p *client.Problem
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := y.admin.Follow(ctx, "/events/stream", url.Values{"after": {"999"}}, "", func(client.Message) error { return nil })
	require.ErrorAs(t, err, &p)
	require.Equal(t, client.Conflict, p.Kind)
	require.Contains(t, p.Detail, "was it restored from a backup?")
}
