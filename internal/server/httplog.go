package server

import (
	"log"
	"strings"

	"go.uber.org/zap"

	"github.com/droverhq/drover/internal/loglimit"
)

// maxHTTPLineBytes bounds a line of package net/http, which may quote what a stranger sent.
const maxHTTPLineBytes = 500

// httpLines writes the lines of package net/http, such as failed TLS handshakes. Every connection can cause one, so all of
// them together have one limit.
type httpLines struct {
	log   *zap.Logger
	lines loglimit.Lines
}

func limitedStdLog(logger *zap.Logger) *log.Logger { return log.New(&httpLines{log: logger}, "", 0) }

// Write writes one line.
func (h *httpLines) Write(line []byte) (int, error) {
	text := strings.TrimSuffix(string(line), "\n")
	if len(text) > maxHTTPLineBytes {
		text = text[:maxHTTPLineBytes]
	}
	h.lines.Logger(h.log, "").Info(strings.ToValidUTF8(text, "?"))
	return len(line), nil
}
