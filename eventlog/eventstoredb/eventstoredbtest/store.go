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
//
// A record is first written and then indexed. Readers see only indexed records, but the rules of appends see all.
type store struct {
	delay time.Duration // between writing and indexing

	mu      sync.Mutex
	records []record
	indexed int              // number of indexed records
	held    bool             // new records are not indexed
	streams map[string][]int // indices into records, by revision
	// recent is the cache of recent ids. It knows the first record that used an id, in any stream.
	recent map[uuid.UUID]int
	end    uint64        // start of the next record
	grown  chan struct{} // closed and replaced when records are indexed
}

func newStore(delay time.Duration) *store {
	s := &store{delay: delay, streams: map[string][]int{}, recent: map[uuid.UUID]int{}, grown: make(chan struct{})}
	s.system("$epoch-information")
	s.indexed = len(s.records)
	return s
}

// outcome is the answer to an append: the last revision and position, or the current revision if the expected one
// is wrong.
type outcome struct {
	wrong    bool
	current  int64
	position uint64
	// last is the index of the last record of the append. The server answers when it is indexed.
	last int
	// dropped reports a repeat of an append that is not indexed yet. The server never answers it.
	dropped bool
}

// append applies the server's rules. For an exact revision before the end, it compares ids one by one with the
// records at those places. The new records are indexed later if a delay is configured or the index is held.
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
	index := len(s.records) - 1
	if len(s.records)%3 == 0 {
		s.system("$stats-127.0.0.1:2113")
	}
	s.written()
	return outcome{current: s.records[index].revision, position: s.records[index].position, last: index}
}

// written indexes new records now or later. The caller holds the lock.
func (s *store) written() {
	n := len(s.records)
	switch {
	case s.held:
	case s.delay == 0:
		s.index(n)
	default:
		time.AfterFunc(s.delay, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if !s.held {
				s.index(min(n, len(s.records)))
			}
		})
	}
}

// index makes the first n records visible to readers. The caller holds the lock.
func (s *store) index(n int) {
	if n <= s.indexed {
		return
	}
	s.indexed = n
	close(s.grown)
	s.grown = make(chan struct{})
}

// hold stops or resumes indexing.
func (s *store) hold(held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = held
	if !held {
		s.index(len(s.records))
	}
}

// compare answers an append whose expected revision is before the end of its stream. It finds an event through the
// cache of recent ids or through the index. If an event is not indexed yet and the cache knows its id from another
// stream, the repeat is refused.
func (s *store) compare(stream string, expected, current int64, proposals []proposal) outcome {
	at := s.streams[stream]
	for i, p := range proposals {
		revision := expected + 1 + int64(i)
		if revision > current || s.records[at[revision]].id != p.id {
			return outcome{wrong: true, current: current}
		}
		if cached, ok := s.recent[p.id]; at[revision] >= s.indexed && (!ok || cached != at[revision]) {
			return outcome{wrong: true, current: current}
		}
	}
	last := expected + int64(len(proposals))
	return outcome{current: last, position: s.records[at[last]].position, last: at[last],
		dropped: at[last] >= s.indexed}
}

// repeated looks for the events of an append that expects any revision among the recently written ids.
func (s *store) repeated(stream string, proposals []proposal) (outcome, bool) {
	index := 0
	for _, p := range proposals {
		var ok bool
		if index, ok = s.recent[p.id]; !ok || s.records[index].stream != stream {
			return outcome{}, false
		}
	}
	last := s.records[index]
	return outcome{current: last.revision, position: last.position, last: index, dropped: index >= s.indexed}, true
}

func (s *store) add(stream string, p proposal) {
	revision := int64(len(s.streams[stream]))
	s.streams[stream] = append(s.streams[stream], len(s.records))
	if _, known := s.recent[p.id]; !known {
		s.recent[p.id] = len(s.records)
	}
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

// prefix returns the first n indexed records, or all if n is negative. The channel is closed when records are indexed.
func (s *store) prefix(n int) ([]record, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < 0 || n > s.indexed {
		n = s.indexed
	}
	return s.records[:n:n], s.grown
}

// ofStream returns the visible events of a stream: the first n indexed records (all if n is negative) and the indices
// of the stream's events in them. found reports whether the stream exists.
func (s *store) ofStream(stream string, n int) (records []record, at []int, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < 0 || n > s.indexed {
		n = s.indexed
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
