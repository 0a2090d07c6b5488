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

// An archive is a log as text: a line of JSON for its head, one for each event in the order of the log, and one for
// its end, without which it is cut off. It is the same for every backend, so it moves a log from one to another.
type (
	archiveHead struct {
		// Archive is the version of the form; a higher one is refused.
		Archive int       `json:"archive"`
		Log     uuid.UUID `json:"log"`
	}
	archiveEvent struct {
		// Position is where the event stood in the log it came from. Another backend gives it another.
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
		End    *int   `json:"end"`    // how many events there are
		SHA256 string `json:"sha256"` // of all lines above, each with its line feed
	}
)

const archiveForm = 1

// maxLineBytes bounds a line of an archive: the data of one append with room for the rest.
const maxLineBytes = 2*MaxAppendBytes + 64<<10

// Export writes log as an archive, up to the head that stands now. progress, which may be nil, is told the number
// of events now and then. A damaged event ends it with an error that wraps ErrDamaged; what was written then has no end.
func Export(ctx context.Context, log Log, out io.Writer, progress func(events int)) (Verified, error) {
	id, err := log.ID(ctx)
	if err != nil {
		return Verified{}, err
	}
	buffered, sum := bufio.NewWriterSize(out, 64<<10), sha256.New()
	lines := json.NewEncoder(io.MultiWriter(buffered, sum))
	lines.SetEscapeHTML(false)
	if err := lines.Encode(archiveHead{Archive: archiveForm, Log: id}); err != nil {
		return Verified{}, fmt.Errorf("write the archive: %w", err)
	}
	var failure error
	found, err := Verify(ctx, exported{log, func(rec Recorded) bool {
		failure = lines.Encode(toArchive(rec))
		return failure == nil
	}}, progress)
	if failure != nil { // what Verify misses is what was not read any more
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

// exported is a log whose events are written down as they are read.
type exported struct {
	Log
	write func(Recorded) bool
}

// ReadAll ends early where an event cannot be written.
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
	line := archiveEvent{Position: rec.Position, Stream: rec.Stream, Revision: rec.Revision, ID: rec.ID, Type: rec.Type, Time: rec.Time.UTC(),
		Causes: rec.Causes, Data: rec.Data, Checksum: Checksum(rec.Stream, rec.Revision, rec.Event)}
	if rec.Command != uuid.Nil {
		line.Command = &rec.Command
	}
	return line
}

// Archive is an archive that is being read.
type Archive struct {
	lines *bufio.Scanner
	at    int // line
	id    uuid.UUID
	sum   hash.Hash // of the lines read before the one at hand
	// waiting is an event that was read and belongs to the next append.
	waiting *archiveEvent
	// events counts those that were read; ended says that the end was there.
	events int
	ended  bool
	head   Position
}

// OpenArchive reads the head of an archive. It returns an error that wraps ErrForeign if in is none.
func OpenArchive(in io.Reader) (*Archive, error) {
	a := &Archive{lines: bufio.NewScanner(in), sum: sha256.New()}
	a.lines.Buffer(make([]byte, 0, 64<<10), maxLineBytes)
	text, err := a.line()
	if err != nil {
		return nil, err
	}
	var head archiveHead
	if json.Unmarshal(text, &head) != nil || head.Archive == 0 || head.Log == uuid.Nil {
		return nil, fmt.Errorf("line 1: %w: it is not an archive of a log", ErrForeign)
	}
	if head.Archive > archiveForm {
		return nil, fmt.Errorf("line 1: %w: the archive has form %d, and %d is the newest that is known; use a newer drover", ErrForeign, head.Archive, archiveForm)
	}
	a.id = head.Log
	a.note(text)
	return a, nil
}

// ID is the id of the log that was exported.
func (a *Archive) ID() uuid.UUID { return a.id }

// note adds a line to the sum.
func (a *Archive) note(text []byte) {
	a.sum.Write(text)
	a.sum.Write([]byte{'\n'})
}

// Events counts the events that were read so far.
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
		err = fmt.Errorf("%w: the archive ends here, in the middle", ErrDamaged)
	}
	return nil, fmt.Errorf("line %d: %w", a.at, err)
}

// next reads one event; nil at the archive's end.
func (a *Archive) next() (*archiveEvent, error) {
	if waiting := a.waiting; waiting != nil || a.ended {
		a.waiting = nil
		return waiting, nil
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
	a.note(text)
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
		return fmt.Errorf("line %d: %w: something in the lines above is not what was exported", a.at, ErrDamaged)
	case a.lines.Scan():
		return fmt.Errorf("line %d: %w: more follows the archive's end", a.at+1, ErrDamaged)
	}
	return nil
}

// Check reads the archive to its end, and says whether it is whole. It cannot be imported afterwards; open it again.
func (a *Archive) Check() error {
	for {
		e, err := a.next()
		if err != nil || e == nil {
			return err
		}
	}
}

// check finds what does not belong where it stands, or is not what was written.
func (a *Archive) check(e *archiveEvent) error {
	event := e.event()
	var err error
	if event.Data, err = Canonical(e.Data); err != nil {
		return fmt.Errorf("line %d: %w: %w", a.at, ErrDamaged, err)
	}
	switch {
	case Checksum(e.Stream, e.Revision, event) != e.Checksum:
		return fmt.Errorf("line %d: %w: event %s of stream %s at revision %d is not what was exported", a.at, ErrDamaged, e.ID, e.Stream, e.Revision)
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

// Import brings log to hold what the archive holds, in its order and under its ids. What log holds already must be the
// archive's beginning, so an import that was cut off is simply repeated. It returns how many events were added, and an error
// that wraps ErrForeign if log is another one, ErrDamaged if the archive is not whole. progress, which may be nil, is
// told the number of events that are there now and then.
func (a *Archive) Import(ctx context.Context, log Log, progress func(events int)) (added int, err error) {
	if err := a.fits(ctx, log); err != nil {
		return 0, err
	}
	for told := 0; ; {
		batch, err := a.batch()
		if err != nil || len(batch) == 0 {
			return added, err
		}
		if err := appendBatch(ctx, log, batch); err != nil {
			return added, fmt.Errorf("line %d: %w", a.at, err)
		}
		added += len(batch)
		if progress != nil && a.events-told >= 10_000 {
			told = a.events
			progress(told)
		}
	}
}

// passOver reads the beginning of the archive that the log holds already.
func (a *Archive) passOver(ctx context.Context, log Log) error {
	for rec, err := range log.ReadAll(ctx, 0, 0) {
		if err != nil {
			return err
		}
		e, err := a.next()
		if err != nil {
			return err
		}
		if e == nil || e.Stream != rec.Stream || e.Revision != rec.Revision || e.ID != rec.ID {
			return fmt.Errorf("line %d: %w: at position %s it holds event %s of stream %s, which the archive does not have there", a.at, ErrForeign, rec.Position, rec.ID, rec.Stream)
		}
	}
	return nil
}

// batch reads the next events that can be one append: those of one stream that follow each other.
func (a *Archive) batch() (batch []*archiveEvent, err error) {
	for size := 0; ; {
		e, err := a.next()
		if err != nil || e == nil {
			return batch, err
		}
		size += len(e.Data)
		if n := len(batch); n > 0 && (e.Stream != batch[0].Stream || n == MaxAppendEvents || size > MaxAppendBytes) {
			a.waiting = e
			return batch, nil
		}
		batch = append(batch, e)
	}
}

func appendBatch(ctx context.Context, log Log, batch []*archiveEvent) error {
	events := make([]Event, len(batch))
	for i, e := range batch {
		events[i] = e.event()
	}
	for {
		_, err := log.Append(ctx, batch[0].Stream, batch[0].Revision-1, events...)
		if errors.Is(err, ErrUnknownOutcome) && ctx.Err() == nil {
			continue
		}
		var conflict *Conflict
		if errors.As(err, &conflict) {
			return fmt.Errorf("%w; is something else writing to this log? stop its servers first", err)
		}
		return err
	}
}
