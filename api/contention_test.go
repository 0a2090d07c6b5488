package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/eventlog/memory"
	"github.com/droverhq/drover/internal/ids"
)

// contendedLog is a log in which another server always appends to one stream first.
type contendedLog struct {
	*memory.Log
	stream string
	mu     sync.Mutex
}

func (l *contendedLog) Append(ctx context.Context, stream string, expected eventlog.Revision,
	events ...eventlog.Event) (eventlog.Appended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if stream == l.stream && l.stream != "" {
		return eventlog.Appended{}, &eventlog.Conflict{Stream: stream, Expected: expected, Actual: expected + 1}
	}
	return l.Log.Append(ctx, stream, expected, events...)
}

func (l *contendedLog) contend(stream string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stream = stream
}

func TestConflictsWithOtherServersAreAnsweredAsConflict(t *testing.T) {
	log := &contendedLog{Log: memory.New()}
	f := newFixtureOn(t, log, &manualClock{})
	f.shop()
	log.contend("project/shop")
	key := uuid.NewString()
	_, err := f.admin.Write(context.Background(), "/projects/shop/disable", key, object{})
	require.Equal(t, client.Conflict, client.KindOf(err))
	require.ErrorContains(t, err, "other servers write to the same stream: project/shop")
	log.contend("")
	written, err := f.admin.Write(context.Background(), "/projects/shop/disable", key, object{})
	require.NoError(t, err)
	require.False(t, written.Repeat, "the first request was not executed")
}

// TestContendedClaimIsNoAnswerAboutTheClaim shows that an agent repeats such a claim. If it took it for a refusal, the
// part would wait until it is lost.
func TestContendedClaimIsNoAnswerAboutTheClaim(t *testing.T) {
	log := &contendedLog{Log: memory.New()}
	f := newFixtureOn(t, log, &manualClock{})
	f.shop()
	p, work := f.joinAndOffer("box-01")
	deployment, err := domain.ParseID(work.Deployment)
	require.NoError(t, err)
	log.contend(domain.PartStream(deployment, "box-01"))
	var claimed client.Claimed
	require.Equal(t, client.Conflict,
		client.KindOf(p.part(work.Deployment, "claim", object{"session": p.session}, &claimed)))
	log.contend("")
	require.NoError(t, p.part(work.Deployment, "claim", object{"session": p.session}, &claimed))
	require.True(t, claimed.Counts)
}

func TestEightyAgentsJoinAtOnceWithOneToken(t *testing.T) {
	f := newFixture(t)
	f.shop()
	join, refused := f.join(0), make(chan error, 80)
	var all sync.WaitGroup
	for n := range cap(refused) {
		all.Go(func() {
			_, err := f.asAgent(join).Write(context.Background(), "/machines", "", object{"name": fmt.Sprintf("box-%02d", n),
				"environment": "production", "instance": ids.New().String(), "secret": strings.Repeat("a1", 32)})
			refused <- err
		})
	}
	all.Wait()
	for range cap(refused) {
		require.NoError(t, <-refused)
	}
}

func TestOpenAPIDescribesWhatOtherWritesCause(t *testing.T) {
	f := newFixture(t)
	var document struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct{ Content map[string]any }
		}
	}
	require.NoError(t,
		json.Unmarshal(f.sendFrom("192.0.2.1:1", "GET", "/api/openapi.json", "", "").Body.Bytes(), &document))
	for path, methods := range document.Paths {
		for method, operation := range methods {
			for _, status := range []int{http.StatusConflict, http.StatusTooManyRequests} {
				_, described := operation.Responses[fmt.Sprint(status)]
				require.Equal(t, method != "get", described, "%s %s %d", method, path, status)
			}
			require.Contains(t, operation.Responses, "default", path)
		}
	}
}

func TestEightyAgentsJoinAtOnceOverWebSockets(t *testing.T) {
	f := newFixture(t)
	f.shop()
	join := f.join(0)
	var all []*fakeAgent
	for n := range 80 {
		all = append(all, f.dial(hello(fmt.Sprintf("box-%02d", n), join)))
	}
	for _, agent := range all {
		receive(agent, welcome)
	}
	require.Equal(t, 80, f.events("TokenUsed"))
}
