package eventstoredbtest

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// record is one event of the store.
type record struct {
	position uint64 // both commit and prepare position, as for every append over gRPC
	stream   string
	revision int64
	proposal
	created time.Time
}

// proposal is an event that a client wants to append.
type proposal struct {
	id          uuid.UUID
	kind        string
	contentType string
	data        []byte
	metadata    []byte
}

// size returns how many bytes the server counts towards its append limit.
func (p proposal) size() int { return len(p.data) + len(p.metadata) + 2*len(p.kind) }

// Expected revisions with a special meaning.
const (
	noStream     = -1
	anyRevision  = -2
	streamExists = -4
)

// store is the data that all nodes of a cluster share. It only grows, except in Restore.
type store struct {
	mu      sync.Mutex
	records []record
	streams map[string][]int // indices into records, by revision
	recent  map[uuid.UUID]int
	end     uint64        // start of the next record
	grown   chan struct{} // closed and replaced when records are added
}

func newStore() *store {
	s := &store{streams: map[string][]int{}, recent: map[uuid.UUID]int{}, grown: make(chan struct{})}
	s.system("$epoch-information")
	return s
}

// outcome is the answer to an append: the last revision and position, or the current revision if the expected one
// is wrong.
type outcome struct {
	wrong    bool
	current  int64
	position uint64
}

// append applies the server's rules. For an exact revision before the end, it compares ids one by one with the
// records at those places.
func (s *store) append(stream string, expected int64, proposals []proposal) outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := int64(len(s.streams[stream])) - 1
	switch {
	case expected == anyRevision || expected == streamExists && current >= 0:
		if at, ok := s.repeated(stream, proposals); ok {
			return at
		}
	case expected == streamExists || expected > current:
		return outcome{wrong: true, current: current}
	case expected < current:
		return s.compare(stream, expected, current, proposals)
	}
	for _, p := range proposals {
		s.add(stream, p)
	}
	last := s.records[len(s.records)-1]
	if len(s.records)%3 == 0 {
		s.system("$stats-127.0.0.1:2113")
	}
	close(s.grown)
	s.grown = make(chan struct{})
	return outcome{current: last.revision, position: last.position}
}

// compare answers an append whose expected revision is before the end of its stream.
func (s *store) compare(stream string, expected, current int64, proposals []proposal) outcome {
	at := s.streams[stream]
	for i, p := range proposals {
		revision := expected + 1 + int64(i)
		if revision > current || s.records[at[revision]].id != p.id {
			return outcome{wrong: true, current: current}
		}
	}
	last := expected + int64(len(proposals))
	return outcome{current: last, position: s.records[at[last]].position}
}

// repeated looks for the events of an append that expects any revision among the recently written ids.
func (s *store) repeated(stream string, proposals []proposal) (outcome, bool) {
	var last record
	for _, p := range proposals {
		index, ok := s.recent[p.id]
		if !ok || s.records[index].stream != stream {
			return outcome{}, false
		}
		last = s.records[index]
	}
	return outcome{current: last.revision, position: last.position}, true
}

func (s *store) add(stream string, p proposal) {
	revision := int64(len(s.streams[stream]))
	s.streams[stream] = append(s.streams[stream], len(s.records))
	s.recent[p.id] = len(s.records)
	s.records = append(s.records, record{
		position: s.end, stream: stream, revision: revision, proposal: p, created: time.Now(),
	})
	s.end += uint64(120 + len(stream) + p.size())
}

// system adds an event of the server itself.
func (s *store) system(stream string) {
	s.add(stream, proposal{id: uuid.New(), kind: strings.SplitN(stream, "-", 2)[0], contentType: "application/json",
		data: []byte(`{}`)})
}

// prefix returns the first n records, or all if n is negative. The channel is closed when records are added.
func (s *store) prefix(n int) ([]record, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < 0 || n > len(s.records) {
		n = len(s.records)
	}
	return s.records[:n:n], s.grown
}

// ofStream returns the visible events of a stream: the first n records (all if n is negative) and the indices of
// the stream's events in them. found reports whether the stream exists.
func (s *store) ofStream(stream string, n int) (records []record, at []int, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < 0 {
		n = len(s.records)
	}
	at, limits := s.among(stream, n), s.among("$$"+stream, n)
	if len(at) == 0 {
		return nil, nil, false
	}
	first := int64(0)
	if last := len(limits) - 1; last >= 0 {
		first = firstVisible(s.records[limits[last]].data, int64(len(at)-1))
	}
	if first == math.MaxInt64 {
		return nil, nil, false
	}
	return s.records[:n:n], at[min(first, int64(len(at))):], true
}

func (s *store) among(stream string, n int) []int {
	all := s.streams[stream]
	end, _ := slices.BinarySearch(all, n)
	return all[:end:end]
}

// firstVisible returns the first revision that $tb and $maxCount leave visible.
func firstVisible(metadata []byte, last int64) int64 {
	var limits struct {
		MaxCount int64 `json:"$maxCount"`
		Before   int64 `json:"$tb"`
	}
	if len(metadata) > 0 {
		if err := json.Unmarshal(metadata, &limits); err != nil {
			panic(fmt.Sprintf("metadata %s: %v", metadata, err))
		}
	}
	first := limits.Before
	if limits.MaxCount > 0 {
		first = max(first, last+1-limits.MaxCount)
	}
	return first
}

// ticks formats a time as the protocol does: in units of 100 ns since 1970.
func ticks(t time.Time) string { return strconv.FormatInt(t.UnixNano()/100, 10) }
