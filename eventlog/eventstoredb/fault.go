package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/droverhq/drover/eventlog"
)

// outcome classifies an error of the client by its meaning for the call.
type outcome int

const (
	// lost: the node is or may be unreachable, and the request may have taken effect. Retry with new clients.
	lost outcome = iota
	// late: the request may have taken effect. Retry.
	late
	// moved: nothing was done, because another node is the leader. Retry with new clients.
	moved
	// wrongRevision: the stream is not at the expected revision.
	wrongRevision
	// streamMissing: the stream does not exist.
	streamMissing
	// refused: nothing was done, and a retry would not help.
	refused
	// unsent: no client was available for the call.
	unsent
	// done: no error.
	done
)

// errEmpty reports a read that found no event.
var errEmpty = errors.New("no event found")

// outcomeOf classifies err. After an unknown error, the request may have taken effect.
func outcomeOf(err error) outcome {
	if err == nil {
		return done
	}
	if errors.Is(err, errEmpty) {
		return streamMissing
	}
	var named *esdb.Error
	if errors.As(err, &named) {
		switch named.Code() {
		case esdb.ErrorCodeWrongExpectedVersion:
			return wrongRevision
		case esdb.ErrorCodeNotLeader:
			return moved
		case esdb.ErrorCodeStreamDeleted, esdb.ErrorCodeUnsupportedFeature:
			return refused
		}
		if named.Code() == esdb.ErrorCodeResourceNotFound && !hasStatus(named.Err()) {
			return streamMissing
		}
	}
	switch status.Code(unwrapped(err)) {
	case codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument, codes.FailedPrecondition:
		return refused
	case codes.DeadlineExceeded, codes.Aborted, codes.Canceled, codes.ResourceExhausted:
		return late
	}
	if errors.Is(err, eventlog.ErrDamaged) || errors.Is(err, errTooFar) || errors.Is(err, eventlog.ErrForeign) {
		return refused
	}
	return lost
}

// unwrapped returns the gRPC error inside an error of the client; without one it returns the innermost error.
func unwrapped(err error) error {
	for {
		if hasStatus(err) {
			return err
		}
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

func hasStatus(err error) bool {
	_, ok := err.(interface{ GRPCStatus() *status.Status })
	return ok
}

// explanations maps texts in errors of the transport and the server to messages for users.
var explanations = []struct {
	text, message string
	transient     bool // a retry may succeed
}{
	{text: "first record does not look like a TLS handshake",
		message: "the server does not use TLS; configure a certificate or set tls=false"},
	{text: "error reading server preface",
		message:   "the server closed the connection without an answer; remove tls=false if it requires TLS",
		transient: true},
	{text: "signed by unknown authority",
		message: "the server's certificate is signed by an unknown authority; set tlsCaFile=FILE"},
	{text: "certificate is not valid for",
		message: "the server's certificate is for another name; use a host name that it contains"},
	{text: "certificate is valid for",
		message: "the server's certificate is for another name; use a host name that it contains"},
	{text: "certificate has expired", message: "the server's certificate has expired"},
	{text: "certificate required",
		message: "the server requires a client certificate; set userCertFile=FILE and userKeyFile=FILE"},
	{text: "invalid EventStoreDB server version format",
		message: "the server is a pre-release, whose version the client cannot parse; use a release"},
	{text: "produced zero addresses", message: "unknown host name", transient: true},
	{text: "connection refused",
		message: "connection refused; check that the server is running and the port (default 2113)", transient: true},
	{text: "to be a candidate", message: "the cluster has no available node", transient: true},
}

// permanentError is a failure that a retry cannot resolve.
type permanentError struct{ error }

// Unwrap returns the wrapped error.
func (h permanentError) Unwrap() error { return h.error }

func permanent(err error) bool {
	var h permanentError
	return errors.As(err, &h) || errors.Is(err, eventlog.ErrForeign)
}

// explain converts an error of the client into one of eventlog, with a message that names the server and suggests a
// fix.
func explain(err error, shown string) error {
	full := err.Error()
	for _, s := range explanations {
		if strings.Contains(full, s.text) {
			explained := fmt.Errorf("%w: %s: %s", eventlog.ErrUnavailable, shown, s.message)
			if s.transient {
				return explained
			}
			return permanentError{explained}
		}
	}
	switch grpcError := unwrapped(err); status.Code(grpcError) {
	case codes.Unauthenticated:
		return permanentError{fmt.Errorf("%w: %s: wrong user or password", eventlog.ErrUnavailable, shown)}
	case codes.PermissionDenied:
		return permanentError{fmt.Errorf("%w: %s: access denied; the user needs permission to read $all "+
			"($admins or the $acl of $all) and to read and write streams that begin with \"drover\"",
			eventlog.ErrUnavailable, shown)}
	case codes.Unknown:
		return fmt.Errorf("%w: %s: %w", eventlog.ErrUnavailable, shown, err)
	default:
		return fmt.Errorf("%w: %s: %s", eventlog.ErrUnavailable, shown, status.Convert(grpcError).Message())
	}
}

// ended returns the cause if ctx has ended, otherwise nil.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}
