package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
)

// Copy is a copy of the log's file, to be read once and then closed.
type Copy struct {
	io.Reader
	// Size is how many bytes there are.
	Size int64
	// Close frees what the copy takes.
	Close func() error
}

// copyStep is how much of a copy is sent at a time; its reader must take it within takeWithin.
const copyStep = 256 << 10

// routeBackup registers the copy of the log's file. The answer says how long it is before it begins, so a reader notices one
// that was cut off. One is made at a time: each takes as much room on the log's disk as the log.
func (a *API) routeBackup() {
	op := route(http.MethodGet, "/log/backup", "A copy of the log's file as it stands now (SQLite)", domain.AdminScope)
	making := make(chan struct{}, 1)
	register(a, op, func(ctx context.Context, _ *empty) (*huma.StreamResponse, error) {
		if a.cfg.Backup == nil {
			return nil, problem.Invalid("the log of this server is not a file, so it cannot be copied").
				WithHint("use the database's own tools for a backup, or `drover eventlog export FILE` for an archive")
		}
		select {
		case making <- struct{}{}:
		default:
			return nil, problem.Unavailable("this server is making a backup already").
				WithHint("wait until it has ended")
		}
		made, err := a.cfg.Backup(ctx)
		if err != nil {
			<-making
			return nil, err
		}
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			defer func() { <-making }()
			a.sendCopy(ctx, made)
		}}, nil
	})
}

func (a *API) sendCopy(ctx huma.Context, made *Copy) {
	_, w := humago.Unwrap(ctx)
	w.Header().Set("Content-Type", "application/vnd.sqlite3")
	w.Header().Set("Content-Length", strconv.FormatInt(made.Size, 10))
	control := http.NewResponseController(w)
	life, end := context.WithCancel(ctx.Context())
	defer end()
	go a.cfg.Access.Watch(life, callerOf(ctx.Context()), end)
	var sent int64
	var err error
	for err == nil {
		if err = life.Err(); err != nil { // its reader has gone, or the token was revoked
			break
		}
		var n int64
		_ = control.SetWriteDeadline(time.Now().Add(takeWithin))
		n, err = io.CopyN(w, made, copyStep)
		sent += n
	}
	_ = control.SetWriteDeadline(time.Time{}) // the connection may serve other requests
	if closed := made.Close(); closed != nil {
		a.log.Warn("a copy of the log was not deleted", zap.Error(closed))
	}
	if sent < made.Size {
		a.log.Warn("a backup was cut off", zap.String("by", fmt.Sprint(err)), zap.Int64("sent", sent),
			zap.Int64("of", made.Size))
		panic(http.ErrAbortHandler) // cuts the connection, so that its reader learns of it at once
	}
}
