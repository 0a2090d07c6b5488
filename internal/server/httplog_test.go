package server

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/droverhq/drover/internal/loglimit"
)

func TestLinesOfStrangersInTheHTTPLogAreBounded(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	std := limitedStdLog(zap.New(core))
	for range 1000 {
		std.Printf("http: TLS handshake error from 192.0.2.1:1: %s", strings.Repeat("x", 10_000))
	}
	require.Equal(t, loglimit.AtOnce, logged.Len())
	require.Len(t, logged.All()[0].Message, maxHTTPLineBytes)
}
