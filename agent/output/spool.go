package output

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Sizes in bytes, and how long small writes are collected into one chunk.
const (
	DefaultLimit = 16 << 20
	ChunkBytes   = 64 << 10
	gatherFor    = 100 * time.Millisecond
)

// headerBytes is the size of the header of each chunk on disk: the chunk's length, big-endian.
const headerBytes = 4

// Spool stores the output of one part as numbered chunks. The part can write to it while the session reads from it.
// Write never waits for a reader.
type Spool struct {
	mu    sync.Mutex
	file  *os.File
	limit int64

	onDisk int64  // bytes of the file that contain whole chunks
	memory []byte // chunks after a write to the file failed, in the format of the file
	full   error  // why the write failed

	head    int64  // bytes of output that are in chunks
	pending []byte // bytes that are not in a chunk yet
	timer   *time.Timer
	tail    ring
	done    bool

	written chan struct{}
}

// Create creates the spool of a part at path for at most limit bytes (0: DefaultLimit). It truncates an existing
// file.
func Create(path string, limit int64) (*Spool, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create the output file: %w", err)
	}
	return newSpool(file, limit), nil
}

// Reopen opens the spool that an earlier run of the agent left at path. It drops an incomplete last chunk. The caller
// can continue to write.
func Reopen(path string, limit int64) (*Spool, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the output file: %w", err)
	}
	s := newSpool(file, limit)
	for c := (Cursor{}); ; {
		s.onDisk = 1 << 62 // unknown: read until a chunk is incomplete
		chunk, err := s.Next(&c)
		s.onDisk = c.offset
		if err != nil {
			return s, nil
		}
		s.head += int64(len(chunk.Data))
	}
}

// InMemory returns a spool without a file, for a part whose file could not be created. why is the error of that
// attempt.
func InMemory(limit int64, why error) *Spool {
	s := newSpool(nil, limit)
	s.full = why
	return s
}

func newSpool(file *os.File, limit int64) *Spool {
	if limit <= 0 {
		limit = DefaultLimit
	}
	return &Spool{file: file, limit: limit, tail: ring{size: limit - limit/2}, written: make(chan struct{}, 1)}
}

// Written is signalled when there are new chunks.
func (s *Spool) Written() <-chan struct{} { return s.written }

// Write stores p. It never returns an error, because a problem with the output must not stop the step.
func (s *Spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := p
	if free := s.limit/2 - s.head - int64(len(s.pending)); free > 0 && !s.done {
		now := rest[:min(free, int64(len(rest)))]
		rest = rest[len(now):]
		s.gather(now)
	}
	s.tail.write(rest)
	return len(p), nil
}

// gather divides p into chunks. It leaves an incomplete chunk pending for a short time, so that small writes share a
// chunk.
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

// Flush makes a chunk of the pending bytes.
func (s *Spool) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = nil
	s.cut()
}

// cut makes a chunk of the pending bytes; the caller must hold the lock.
func (s *Spool) cut() {
	if len(s.pending) == 0 {
		return
	}
	s.head += int64(len(s.pending))
	s.store(s.pending)
	s.pending = s.pending[:0]
	select {
	case s.written <- struct{}{}:
	default:
	}
}

// store stores one chunk: on disk until a write fails, then in memory.
func (s *Spool) store(data []byte) {
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

// Finish ends the output. It makes chunks of the bytes that were held back; if bytes were cut, it first adds a line
// that reports how many. Later writes are discarded. Finish returns an error if chunks could not be written to disk;
// they can still be read from memory.
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

// Cursor is a reader's position in a spool; the zero value is the beginning.
type Cursor struct {
	sequence int64
	offset   int64
}

// Next returns the chunk at c and advances c. If there is no further chunk yet, it returns io.EOF.
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

// readAt reads len(p) bytes from disk, or from memory if the offset is beyond the end of the file.
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

// Close closes the spool's file, which remains on disk.
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

// ring retains the last size bytes that were written to it.
type ring struct {
	size  int64
	bytes []byte // grows up to size
	at    int64  // position of the next byte once bytes is full
	cut   int64  // number of bytes that were overwritten
}

func (r *ring) write(p []byte) {
	if over := int64(len(p)) - r.size; over > 0 {
		r.cut += over
		p = p[over:]
	}
	if free := r.size - int64(len(r.bytes)); free > 0 {
		n := min(free, int64(len(p)))
		r.bytes, p = append(r.bytes, p[:n]...), p[n:]
	}
	for len(p) > 0 {
		n := int64(copy(r.bytes[r.at:], p))
		r.cut += n
		r.at = (r.at + n) % r.size
		p = p[n:]
	}
}

// pieces returns the bytes in the order in which they were written.
func (r *ring) pieces() [][]byte { return [][]byte{r.bytes[r.at:], r.bytes[:r.at]} }
