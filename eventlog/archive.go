package eventlog

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"time"

	"github.com/google/uuid"
)

// An archive is a log as text: one line of JSON for the head, one for each event in log order, and one for the end. An
// archive without an end line was truncated. The format is the same for every backend, so an archive moves a log from
// one backend to another.
type (
	archiveHead struct {
		// Archive is the version of the format. Higher versions are refused.
		Archive int       `json:"archive"`
		Log     uuid.UUID `json:"log"`
	}
	archiveEvent struct {
		// Position is the position of the event in the exported log. Another backend assigns other positions.
		Position Position        `json:"position,string"`
		Stream   string          `json:"stream"`
		Revision Revision        `json:"revision"`
		ID       uuid.UUID       `json:"id"`
		Type     string          `json:"type"`
		Time     time.Time       `json:"time"`
		Command  *uuid.UUID      `json:"command,omitempty"`
		Causes   []uuid.UUID     `json:"causes,omitempty"`
		Data     json.RawMessage `json:"data"`
		Checksum string          `json:"checksum"`
	}
	archiveEnd struct {
		End    *int   `json:"end"`    // number of events
		SHA256 string `json:"sha256"` // of all lines before, each with its line feed
	}
)

const archiveVersion = 1

// maxLineBytes limits a line of an archive: the data of one append, with some space for the other fields.
const maxLineBytes = 2*MaxAppendBytes + 64<<10

// Export writes an archive of log, at least up to its current head. It calls progress, which may be nil, with the
// number of events after every 10 000 events. At a damaged event it returns an error that wraps ErrDamaged, and the
// archive has no end line.
func Export(ctx context.Context, log Log, out io.Writer, progress func(events int)) (Verified, error) {
	id, err := log.ID(ctx)
	if err != nil {
		return Verified{}, err
	}
	buffered, sum := bufio.NewWriterSize(out, 64<<10), sha256.New()
	lines := json.NewEncoder(io.MultiWriter(buffered, sum))
	lines.SetEscapeHTML(false)
	if err := lines.Encode(archiveHead{Archive: archiveVersion, Log: id}); err != nil {
		return Verified{}, fmt.Errorf("write the archive: %w", err)
	}
	var failure error
	found, err := Verify(ctx, exported{log, func(rec Recorded) bool {
		failure = lines.Encode(toArchive(rec))
		return failure == nil
	}}, progress)
	if failure != nil { // Verify reports the unread rest as missing, which hides the cause
		err = failure
	}
	if err != nil {
		return found, fmt.Errorf("write the archive after position %s: %w", found.Head, err)
	}
	end := archiveEnd{End: &found.Events, SHA256: hex.EncodeToString(sum.Sum(nil))}
	if err := errors.Join(lines.Encode(end), buffered.Flush()); err != nil {
		return found, fmt.Errorf("write the archive's end: %w", err)
	}
	return found, nil
}

// exported is a log that writes each event while it is read.
type exported struct {
	Log
	write func(Recorded) bool
}

// ReadAll ends early if an event could not be written.
func (e exported) ReadAll(ctx context.Context, after Position, limit int) iter.Seq2[Recorded, error] {
	return func(yield func(Recorded, error) bool) {
		for rec, err := range e.Log.ReadAll(ctx, after, limit) {
			if !yield(rec, err) || err == nil && !e.write(rec) {
				return
			}
		}
	}
}

func toArchive(rec Recorded) archiveEvent {
	line := archiveEvent{
		Position: rec.Position, Stream: rec.Stream, Revision: rec.Revision,
		ID: rec.ID, Type: rec.Type, Time: rec.Time.UTC(), Causes: rec.Causes, Data: rec.Data,
		Checksum: Checksum(rec.Stream, rec.Revision, rec.Event),
	}
	if rec.Command != uuid.Nil {
		line.Command = &rec.Command
	}
	return line
}

// Archive reads an archive.
type Archive struct {
	lines *bufio.Scanner
	at    int // number of the current line
	id    uuid.UUID
	sum   hash.Hash // of the lines before the current one
	// pending is an event that was read but belongs to the next append.
	pending *archiveEvent
	// events is the number of events read so far; ended reports that the end line was read.
	events int
	ended  bool
	head   Position
}

// OpenArchive reads the head of an archive. It returns an error that wraps ErrForeign if in is not an archive, or one
// of an unsupported version.
func OpenArchive(in io.Reader) (*Archive, error) {
	a := &Archive{lines: bufio.NewScanner(in), sum: sha256.New()}
	a.lines.Buffer(make([]byte, 0, 64<<10), maxLineBytes)
	text, err := a.line()
	if err != nil {
		return nil, err
	}
	var head archiveHead
	if json.Unmarshal(text, &head) != nil || head.Archive == 0 || head.Log == uuid.Nil {
		return nil, fmt.Errorf("line 1: %w: not an archive of an event log", ErrForeign)
	}
	if head.Archive > archiveVersion {
		return nil, fmt.Errorf("line 1: %w: unsupported archive version %d (this drover reads version %d); use a newer drover",
			ErrForeign, head.Archive, archiveVersion)
	}
	a.id = head.Log
	a.addToSum(text)
	return a, nil
}

// ID returns the id of the log that was exported.
func (a *Archive) ID() uuid.UUID { return a.id }

// addToSum adds a line to the checksum of the archive.
func (a *Archive) addToSum(text []byte) {
	a.sum.Write(text)
	a.sum.Write([]byte{'\n'})
}

// Events returns the number of events read so far.
func (a *Archive) Events() int { return a.events }

func (a *Archive) line() ([]byte, error) {
	a.at++
	if a.lines.Scan() {
		return a.lines.Bytes(), nil
	}
	err := a.lines.Err()
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		err = fmt.Errorf("%w: the line is longer than %d bytes", ErrDamaged, maxLineBytes)
	case err == nil:
		err = fmt.Errorf("%w: the archive is truncated", ErrDamaged)
	}
	return nil, fmt.Errorf("line %d: %w", a.at, err)
}

// next returns the next event, or nil at the end of the archive.
func (a *Archive) next() (*archiveEvent, error) {
	if pending := a.pending; pending != nil || a.ended {
		a.pending = nil
		return pending, nil
	}
	text, err := a.line()
	if err != nil {
		return nil, err
	}
	var end archiveEnd
	if bytes.HasPrefix(text, []byte(`{"end"`)) && json.Unmarshal(text, &end) == nil && end.End != nil {
		a.ended = true
		return nil, a.checkEnd(end)
	}
	a.addToSum(text)
	var e archiveEvent
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, fmt.Errorf("line %d: %w: %w", a.at, ErrDamaged, err)
	}
	return &e, a.check(&e)
}

func (a *Archive) checkEnd(end archiveEnd) error {
	switch {
	case *end.End != a.events:
		return fmt.Errorf("line %d: %w: %d events are missing", a.at, ErrDamaged, *end.End-a.events)
	case end.SHA256 != hex.EncodeToString(a.sum.Sum(nil)):
		return fmt.Errorf("line %d: %w: the lines before do not match the checksum of the archive", a.at, ErrDamaged)
	case a.lines.Scan():
		return fmt.Errorf("line %d: %w: unexpected data after the end of the archive", a.at+1, ErrDamaged)
	}
	return nil
}

// Check reads the archive to its end and returns an error if it is damaged or truncated. Open the archive again to
// import it afterwards.
func (a *Archive) Check() error {
	for {
		e, err := a.next()
		if err != nil || e == nil {
			return err
		}
	}
}

// check verifies the checksum and the order of an event.
func (a *Archive) check(e *archiveEvent) error {
	event := e.event()
	var err error
	if event.Data, err = Canonical(e.Data); err != nil {
		return fmt.Errorf("line %d: %w: %w", a.at, ErrDamaged, err)
	}
	switch {
	case Checksum(e.Stream, e.Revision, event) != e.Checksum:
		return fmt.Errorf("line %d: %w: event %s of stream %s at revision %d does not match its checksum",
			a.at, ErrDamaged, e.ID, e.Stream, e.Revision)
	case e.Position <= a.head:
		return fmt.Errorf("line %d: %w: position %s follows %s", a.at, ErrDamaged, e.Position, a.head)
	}
	e.Data, a.head = event.Data, e.Position
	a.events++
	return nil
}

func (e *archiveEvent) event() Event {
	event := Event{ID: e.ID, Type: e.Type, Time: e.Time, Causes: e.Causes, Data: e.Data}
	if e.Command != nil {
		event.Command = *e.Command
	}
	return event
}

// Import appends the events of the archive to log, in their order and with their ids. The existing events of log must
// be a prefix of the archive, so an interrupted import can be repeated. Import returns the number of added events.
// Its error wraps ErrForeign if log is another log, and ErrDamaged if the archive is damaged. Import sends one append at a
// time: if several were sent and one failed, a later one could be stored before it, and the order of a log cannot be
// corrected.
//
// Import calls progress, which may be nil, with the number of imported events about every 10 000 events.
func (a *Archive) Import(ctx context.Context, log Log, progress func(events int)) (added int, err error) {
	if err := a.fits(ctx, log); err != nil {
		return 0, err
	}
	for reported := 0; ; {
		batch, err := a.batch()
		if err != nil || len(batch) == 0 {
			return added, err
		}
		if err := appendBatch(ctx, log, batch); err != nil {
			return added, fmt.Errorf("line %d: %w", a.at, err)
		}
		added += len(batch)
		if progress != nil && a.events-reported >= 10_000 {
			reported = a.events
			progress(reported)
		}
	}
}

// skipExisting reads the prefix of the archive that log already has.
func (a *Archive) skipExisting(ctx context.Context, log Log) error {
	for rec, err := range log.ReadAll(ctx, 0, 0) {
		if err != nil {
			return err
		}
		e, err := a.next()
		if err != nil {
			return err
		}
		if e == nil || e.Stream != rec.Stream || e.Revision != rec.Revision || e.ID != rec.ID {
			return fmt.Errorf("line %d: %w: the log has event %s of stream %s at position %s, and the archive does not",
				a.at, ErrForeign, rec.ID, rec.Stream, rec.Position)
		}
	}
	return nil
}

// batch reads the next events that can form one append: consecutive events of one stream, within the limits of an
// append.
func (a *Archive) batch() (batch []*archiveEvent, err error) {
	var size, causes int
	ids := map[uuid.UUID]bool{}
	for {
		e, err := a.next()
		if err != nil || e == nil {
			return batch, err
		}
		size, causes = size+len(e.Data), causes+len(e.Causes)
		full := len(batch) == MaxAppendEvents || size > MaxAppendBytes || causes > MaxAppendCauses || ids[e.ID]
		if len(batch) > 0 && (full || e.Stream != batch[0].Stream) {
			a.pending = e
			return batch, nil
		}
		batch, ids[e.ID] = append(batch, e), true
	}
}

// appendBatch appends consecutive events of one stream. If they exceed a limit of the backend, it appends each half
// separately.
func appendBatch(ctx context.Context, log Log, batch []*archiveEvent) error {
	events := make([]Event, len(batch))
	for i, e := range batch {
		events[i] = e.event()
	}
	store := appender(log)
	for {
		err := store(ctx, batch[0].Stream, batch[0].Revision-1, events...)
		if errors.Is(err, ErrUnknownOutcome) && ctx.Err() == nil {
			continue
		}
		if half := len(batch) / 2; half > 0 && errors.Is(err, ErrTooLarge) {
			if err := appendBatch(ctx, log, batch[:half]); err != nil {
				return err
			}
			return appendBatch(ctx, log, batch[half:])
		}
		var conflict *Conflict
		if errors.As(err, &conflict) {
			return fmt.Errorf("%w; another process may be writing to this log: stop its servers first", err)
		}
		return err
	}
}
