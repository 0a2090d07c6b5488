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

	"github.com/droverhq/drover/access"
	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/domain"
)

// Copy is a copy of the log's file. The receiver reads it once and then calls Close.
type Copy struct {
	io.Reader
	// Size is the length in bytes.
	Size int64
	// Close deletes the copy.
	Close func() error
}

// backupChunkBytes is how much of a copy is sent at a time. The reader must receive each chunk within chunkTimeout.
const backupChunkBytes = 256 << 10

// routeBackup registers the download of a copy of the log's file. The response states its length up front, so that a
// reader notices an incomplete download. Only one copy is created at a time, because each needs as much disk space as
// the log.
func (a *API) routeBackup() {
	op := route(http.MethodGet, "/log/backup", "Download a copy of the log's current file (SQLite)", domain.LogVerb)
	running := make(chan struct{}, 1)
	register(a, op, func(ctx context.Context, _ *empty) (*huma.StreamResponse, error) {
		if a.cfg.Backup == nil {
			return nil, problem.Invalid("the log of this server is not a file and cannot be copied").
				WithHint("use the database's own tools for a backup, or `drover eventlog export FILE` for an archive")
		}
		select {
		case running <- struct{}{}:
		default:
			return nil, problem.Unavailable("this server is already creating a backup").
				WithHint("wait until it has finished")
		}
		backup, err := a.cfg.Backup(ctx)
		if err != nil {
			<-running
			return nil, err
		}
		a.cfg.Access.Record(callerOf(ctx), access.Entry{Kind: access.BackedUp, Route: routeOf(&op)})
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			defer func() { <-running }()
			a.sendCopy(ctx, backup)
		}}, nil
	})
}

// sendCopy sends the copy chunk by chunk and deletes it.
func (a *API) sendCopy(ctx huma.Context, backup *Copy) {
	_, w := humago.Unwrap(ctx)
	w.Header().Set("Content-Type", "application/vnd.sqlite3")
	w.Header().Set("Content-Length", strconv.FormatInt(backup.Size, 10))
	control := http.NewResponseController(w)
	streamCtx, cancel := context.WithCancel(ctx.Context())
	defer cancel()
	go a.cfg.Access.Watch(streamCtx, callerOf(ctx.Context()), cancel)
	var sent int64
	var err error
	for err == nil {
		if err = streamCtx.Err(); err != nil { // the reader disconnected, or the token was revoked
			break
		}
		var n int64
		_ = control.SetWriteDeadline(time.Now().Add(chunkTimeout))
		n, err = io.CopyN(w, backup, backupChunkBytes)
		sent += n
	}
	_ = control.SetWriteDeadline(time.Time{}) // the connection may be reused
	if closed := backup.Close(); closed != nil {
		a.log.Warn("could not delete a copy of the log", zap.Error(closed))
	}
	if sent < backup.Size {
		a.log.Warn("a backup download was interrupted", zap.String("by", fmt.Sprint(err)), zap.Int64("sent", sent),
			zap.Int64("of", backup.Size))
		panic(http.ErrAbortHandler) // closes the connection, so that the reader notices immediately
	}
}
