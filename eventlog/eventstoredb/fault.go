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

// upshot says what an error of the client means for the call that got it.
type upshot int

const (
	// lost: the node is gone or in doubt, the work may be done; try again, all clients are new.
	lost upshot = iota
	// late: the work may be done; try again.
	late
	// moved: nothing was done, because another node leads; try again, all clients are new.
	moved
	// wrong: the stream stands elsewhere.
	wrong
	// missing: there is no such stream.
	missing
	// refused: nothing was done, and nothing will be.
	refused
	// unsent: there is no client to make the call with.
	unsent
	// done: there is no error.
	done
)

// errEmpty is a read that found no event.
var errEmpty = errors.New("there is no event")

// upshotOf says what err means. What it does not know may have been done.
func upshotOf(err error) upshot {
	if err == nil {
		return done
	}
	if errors.Is(err, errEmpty) {
		return missing
	}
	var named *esdb.Error
	if errors.As(err, &named) {
		switch named.Code() {
		case esdb.ErrorCodeWrongExpectedVersion:
			return wrong
		case esdb.ErrorCodeNotLeader:
			return moved
		case esdb.ErrorCodeStreamDeleted, esdb.ErrorCodeUnsupportedFeature:
			return refused
		}
		if named.Code() == esdb.ErrorCodeResourceNotFound && !hasStatus(named.Err()) {
			return missing
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

// unwrapped is the error beneath those of the client, which is one of gRPC if the server or the transport made it.
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

// sentences are what an error of the transport or the server means to a user, by words in it.
var sentences = []struct {
	words, sentence string
	heals           bool // with time alone
}{
	{words: "first record does not look like a TLS handshake", sentence: "the server does not speak TLS; give it a certificate, or add tls=false to the connection string"},
	{words: "error reading server preface", sentence: "the server closes the connection before it answers; if it wants TLS, remove tls=false from the connection string", heals: true},
	{words: "signed by unknown authority", sentence: "the server's certificate is signed by an authority that is not known here; name it by tlsCaFile=FILE"},
	{words: "certificate is not valid for", sentence: "the server's certificate is made out to another name; use a name that it holds"},
	{words: "certificate is valid for", sentence: "the server's certificate is made out to another name; use a name that it holds"},
	{words: "certificate has expired", sentence: "the server's certificate has expired"},
	{words: "certificate required", sentence: "the server wants a certificate of the client; name it by userCertFile=FILE and userKeyFile=FILE"},
	{words: "invalid EventStoreDB server version format", sentence: "the server is a pre-release, whose version the client cannot read; use a release"},
	{words: "produced zero addresses", sentence: "the host's name is not known", heals: true},
	{words: "connection refused", sentence: "nobody listens there; is the server up, and the port right (2113 by default)?", heals: true},
	{words: "to be a candidate", sentence: "the cluster has no node that works", heals: true},
}

// hopelessError is a failure that time does not heal.
type hopelessError struct{ error }

// Unwrap returns what the failure wraps.
func (h hopelessError) Unwrap() error { return h.error }

func hopeless(err error) bool {
	var h hopelessError
	return errors.As(err, &h) || errors.Is(err, eventlog.ErrForeign)
}

// explain turns an error of the client into one of eventlog, in a sentence that names shown
// and what to do.
func explain(err error, shown string) error {
	text := err.Error()
	for _, s := range sentences {
		if strings.Contains(text, s.words) {
			explained := fmt.Errorf("%w: %s: %s", eventlog.ErrUnavailable, shown, s.sentence)
			if s.heals {
				return explained
			}
			return hopelessError{explained}
		}
	}
	switch grpcError := unwrapped(err); status.Code(grpcError) {
	case codes.Unauthenticated:
		return hopelessError{fmt.Errorf("%w: %s: user or password is wrong", eventlog.ErrUnavailable, shown)}
	case codes.PermissionDenied:
		return hopelessError{fmt.Errorf("%w: %s: access denied; the user needs the right to read $all (be in $admins, or named in the $acl of $all) and to read and write streams that begin with \"drover\"",
			eventlog.ErrUnavailable, shown)}
	case codes.Unknown:
		return fmt.Errorf("%w: %s: %w", eventlog.ErrUnavailable, shown, err)
	default:
		return fmt.Errorf("%w: %s: %s", eventlog.ErrUnavailable, shown, status.Convert(grpcError).Message())
	}
}

// ended says whether ctx has ended, and with what.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}
