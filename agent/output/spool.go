package output

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Sizes in bytes, and the time for which small writes are gathered into one chunk.
const (
	DefaultLimit = 16 << 20
	ChunkBytes   = 64 << 10
	gatherFor    = 100 * time.Millisecond
)

// headerBytes precede each chunk on disk: its length, big-endian.
const headerBytes = 4

// Spool keeps the output of one part as numbered chunks. It is written by the part and
// read by the session at once; a Write never waits for a reader.
type Spool struct {
	mu    sync.Mutex
	file  *os.File
	limit int64

	onDisk int64  // bytes of the file that hold whole chunks
	memory []byte // chunks after the disk refused one; in the file's form
	full   error  // why the disk refused

	head    int64  // bytes of output that went into chunks
	pending []byte // bytes that wait to become a chunk
	timer   *time.Timer
	tail    ring
	done    bool

	wrote chan struct{}
}

// Create makes the spool of a part at path, for at most limit bytes (0: DefaultLimit).
// What was there is gone.
func Create(path string, limit int64) (*Spool, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create the output file: %w", err)
	}
	return newSpool(file, limit), nil
}

// Reopen opens the spool that an earlier run of the agent left at path; its last chunk is
// dropped if it is not whole. It can be written on.
func Reopen(path string, limit int64) (*Spool, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the output file: %w", err)
	}
	s := newSpool(file, limit)
	for c := (Cursor{}); ; {
		s.onDisk = 1 << 62 // unknown: read until a chunk is not whole
		chunk, err := s.Next(&c)
		s.onDisk = c.offset
		if err != nil {
			return s, nil
		}
		s.head += int64(len(chunk.Data))
	}
}

// InMemory returns a spool for a part whose file could not be made.
func InMemory(limit int64, why error) *Spool {
	s := newSpool(nil, limit)
	s.full = why
	return s
}

func newSpool(file *os.File, limit int64) *Spool {
	if limit <= 0 {
		limit = DefaultLimit
	}
	return &Spool{file: file, limit: limit, tail: ring{size: limit - limit/2}, wrote: make(chan struct{}, 1)}
}

// Wrote is signalled when there are new chunks.
func (s *Spool) Wrote() <-chan struct{} { return s.wrote }

// Write takes a piece of output. It never fails: output is worth less than the work.
func (s *Spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := p
	if room := s.limit/2 - s.head - int64(len(s.pending)); room > 0 && !s.done {
		now := rest[:min(room, int64(len(rest)))]
		rest = rest[len(now):]
		s.gather(now)
	}
	s.tail.write(rest)
	return len(p), nil
}

// gather makes chunks of p as they fill up; what is left waits a moment for more.
func (s *Spool) gather(p []byte) {
	for len(p) > 0 {
		n := min(ChunkBytes-len(s.pending), len(p))
		s.pending, p = append(s.pending, p[:n]...), p[n:]
		if len(s.pending) == ChunkBytes {
			s.cut()
		}
	}
	if len(s.pending) > 0 && s.timer == nil {
		s.timer = time.AfterFunc(gatherFor, s.Flush)
	}
}

// Flush makes a chunk of what waits to become one.
func (s *Spool) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = nil
	s.cut()
}

// cut makes a chunk of what is pending.
func (s *Spool) cut() {
	if len(s.pending) == 0 {
		return
	}
	s.head += int64(len(s.pending))
	s.keep(s.pending)
	s.pending = s.pending[:0]
	select {
	case s.wrote <- struct{}{}:
	default:
	}
}

// keep stores one chunk: on disk while the disk takes it, in memory from then on.
func (s *Spool) keep(data []byte) {
	chunk := binary.BigEndian.AppendUint32(make([]byte, 0, headerBytes+len(data)), uint32(len(data)))
	chunk = append(chunk, data...)
	if s.full == nil {
		_, err := s.file.WriteAt(chunk, s.onDisk)
		if err == nil {
			s.onDisk += int64(len(chunk))
			return
		}
		s.full = err
	}
	s.memory = append(s.memory, chunk...)
}

// Finish ends the output: what was kept back is made into chunks, after a line that says
// how much was cut, if something was. Later writes are lost. The error says why the disk
// refused chunks, if it did; they are still there to be read.
func (s *Spool) Finish() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return s.full
	}
	s.done = true
	s.cut()
	if s.tail.cut > 0 {
		s.gather(fmt.Appendf(nil, "\ndrover: %d bytes of output were cut here\n", s.tail.cut))
	}
	for _, piece := range s.tail.pieces() {
		s.gather(piece)
	}
	s.cut()
	s.tail = ring{}
	return s.full
}

// Chunk is one numbered piece of a part's output.
type Chunk struct {
	// Sequence counts from 1.
	Sequence int64
	Data     []byte
}

// Cursor is a reader's place in a spool; the zero value is its beginning.
type Cursor struct {
	sequence int64
	offset   int64
}

// Next returns the chunk at c and moves c behind it. With no further chunk (yet) it
// returns io.EOF.
func (s *Spool) Next(c *Cursor) (Chunk, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var header [headerBytes]byte
	if err := s.readAt(header[:], c.offset); err != nil {
		return Chunk{}, err
	}
	size := binary.BigEndian.Uint32(header[:])
	if size == 0 || size > ChunkBytes {
		return Chunk{}, fmt.Errorf("output chunk %d has an impossible size of %d bytes", c.sequence+1, size)
	}
	data := make([]byte, size)
	if err := s.readAt(data, c.offset+headerBytes); err != nil {
		return Chunk{}, err
	}
	c.sequence++
	c.offset += headerBytes + int64(size)
	return Chunk{Sequence: c.sequence, Data: data}, nil
}

// readAt reads whole pieces from the disk or, behind its end, from memory.
func (s *Spool) readAt(p []byte, offset int64) error {
	if offset < s.onDisk {
		_, err := s.file.ReadAt(p, offset)
		return err
	}
	from := offset - s.onDisk
	if from+int64(len(p)) > int64(len(s.memory)) {
		return io.EOF
	}
	copy(p, s.memory[from:])
	return nil
}

// Close closes the spool's file; it stays on disk.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = true
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// ring keeps the last size bytes that were written to it.
type ring struct {
	size  int64
	bytes []byte // grows up to size
	at    int64  // where the next byte goes once bytes is full
	cut   int64  // how many bytes were overwritten
}

func (r *ring) write(p []byte) {
	if over := int64(len(p)) - r.size; over > 0 {
		r.cut += over
		p = p[over:]
	}
	if room := r.size - int64(len(r.bytes)); room > 0 {
		n := min(room, int64(len(p)))
		r.bytes, p = append(r.bytes, p[:n]...), p[n:]
	}
	for len(p) > 0 {
		n := int64(copy(r.bytes[r.at:], p))
		r.cut += n
		r.at = (r.at + n) % r.size
		p = p[n:]
	}
}

// pieces are the bytes in the order they were written.
func (r *ring) pieces() [][]byte { return [][]byte{r.bytes[r.at:], r.bytes[:r.at]} }
