package api

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/query"
)

type empty struct{}

// routeLog registers the routes that read the whole log.
func (a *API) routeLog() {
	verify := route(http.MethodGet, "/log/verify", "Read the whole log and check every event", domain.ReadVerb)
	verify.Middlewares = huma.Middlewares{withoutWriteDeadline}
	register(a, verify, func(ctx context.Context, _ *empty) (*answer[query.Verified], error) {
		found, err := a.cfg.Queries.Verify(ctx)
		return &answer[query.Verified]{Position: found.Head, Body: found}, err
	})
	export := route(http.MethodGet, "/log/export", "Export the whole log as an archive with one line of JSON per event",
		domain.LogVerb)
	register(a, export, func(ctx context.Context, _ *empty) (*huma.StreamResponse, error) {
		pace := a.reads.startStream(callerOf(ctx))
		a.cfg.Access.Record(callerOf(ctx), access.Entry{Kind: access.Exported, Route: routeOf(&export)})
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			defer pace.stop()
			a.export(ctx, pace)
		}}, nil
	})
}

// export sends the log as an archive. An incomplete archive lacks the end line, so that its reader detects it.
func (a *API) export(ctx huma.Context, pace *pace) {
	_, w := humago.Unwrap(ctx)
	ctx.SetHeader("Content-Type", "application/jsonl")
	streamCtx, cancel := context.WithCancel(ctx.Context())
	defer cancel()
	go a.cfg.Access.Watch(streamCtx, callerOf(ctx.Context()), cancel)
	err := a.cfg.Queries.Export(streamCtx, &pacedWriter{deadlineWriter{ctx.BodyWriter(), http.NewResponseController(w)},
		streamCtx, pace, time.Now()})
	if err != nil && streamCtx.Err() == nil {
		a.log.Error("an export of the log failed", zap.Error(err))
	}
}

// deadlineWriter writes a response of any length. It disconnects a reader that does not receive a piece in time.
type deadlineWriter struct {
	io.Writer
	control *http.ResponseController
}

func (t deadlineWriter) Write(p []byte) (int, error) {
	_ = t.control.SetWriteDeadline(time.Now().Add(chunkTimeout))
	return t.Writer.Write(p)
}

// pacedWriter pauses a response according to the time that it takes to produce it. The time that its reader takes to
// receive it does not count.
type pacedWriter struct {
	deadlineWriter
	ctx     context.Context
	pace    *pace
	written time.Time // when the last piece was written
}

func (w *pacedWriter) Write(p []byte) (int, error) {
	w.pace.spend(w.ctx, time.Since(w.written))
	n, err := w.deadlineWriter.Write(p)
	w.written = time.Now()
	return n, err
}

// withoutWriteDeadline removes the write deadline of a response, because reading a long log takes time. The response
// itself is small, so a slow reader cannot block the server.
func withoutWriteDeadline(ctx huma.Context, next func(huma.Context)) {
	_, w := humago.Unwrap(ctx)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	next(ctx)
}
