package agents

import "sync/atomic"

// UnprovenLimit is the limit on connections that have not proved anything, and on the memory of their hellos.
const UnprovenLimit = "unproven"

// Limits are the limits that Limited counts.
var Limits = []string{UnprovenLimit}

// limitCounts counts how often each of Limits delayed or refused something. The map is never changed.
type limitCounts map[string]*atomic.Int64

func newLimitCounts() limitCounts {
	counts := limitCounts{}
	for _, limit := range Limits {
		counts[limit] = &atomic.Int64{}
	}
	return counts
}

func (c limitCounts) add(limit string) { c[limit].Add(1) }

// Limited returns how often one of Limits delayed or refused something.
func (h *Hub) Limited(limit string) int64 { return h.limited[limit].Load() }
