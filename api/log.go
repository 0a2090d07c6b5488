package api

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/query"
)

type empty struct{}

// routeLog registers what reads the whole log.
func (a *API) routeLog() {
	verify := route(http.MethodGet, "/log/verify", "Read the whole log and check every event", domain.ReadScope)
	verify.Middlewares = huma.Middlewares{unhurried}
	register(a, verify, func(ctx context.Context, _ *empty) (*answer[query.Verified], error) {
		found, err := a.cfg.Queries.Verify(ctx)
		return &answer[query.Verified]{Position: found.Head, Body: found}, err
	})
	export := route(http.MethodGet, "/log/export", "The whole log as an archive, a line of JSON for each event",
		domain.AdminScope)
	register(a, export, func(context.Context, *empty) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: a.export}, nil
	})
}

// export sends the log as an archive. One that could not be written to its end has no last line, so its reader notices.
func (a *API) export(ctx huma.Context) {
	_, w := humago.Unwrap(ctx)
	ctx.SetHeader("Content-Type", "application/jsonl")
	life, end := context.WithCancel(ctx.Context())
	defer end()
	go a.cfg.Access.Watch(life, callerOf(ctx.Context()), end)
	err := a.cfg.Queries.Export(life, taken{ctx.BodyWriter(), http.NewResponseController(w)})
	if err != nil && life.Err() == nil {
		a.log.Error("export ended early", zap.Error(err))
	}
}

// taken is an answer of any length whose reader takes each piece in time, or is dropped.
type taken struct {
	io.Writer
	control *http.ResponseController
}

func (t taken) Write(p []byte) (int, error) {
	_ = t.control.SetWriteDeadline(time.Now().Add(takeWithin))
	return t.Writer.Write(p)
}

// unhurried removes the write deadline of an answer, because reading a long log takes time. The answer itself is small,
// so a slow reader cannot hold it up.
func unhurried(ctx huma.Context, next func(huma.Context)) {
	_, w := humago.Unwrap(ctx)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	next(ctx)
}
