package access

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// failures limits the rate of failed authentications per address. The limit does not protect the secrets, which are too
// long to guess. It saves work, because an unknown credential makes the server read the log again. Valid credentials
// are not limited, so that clients behind a shared proxy do not lock each other out.
type failures struct {
	mu sync.Mutex // guards by
	by map[netip.Prefix]*rate.Limiter
}

const (
	failuresAtOnce = 20
	failuresEvery  = 3 * time.Second
	// maxAddresses limits the memory. When it is reached, addresses without recent failures are removed, or all
	// addresses if every address has failed recently.
	maxAddresses = 10_000
	// networkBits is the length of the IPv6 prefix that a provider assigns to one customer.
	networkBits = 64
)

// loopback stands for all addresses of this machine.
var loopback = netip.MustParsePrefix("127.0.0.0/8")

// NetworkOf returns the network that failures are counted for: the IPv4 address of a HOST:PORT, or the /64 prefix of
// its IPv6 address. All loopback addresses are one network. It returns the zero prefix for any other text.
func NetworkOf(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	address, bits := at.Addr().Unmap().WithZone(""), networkBits
	switch {
	case address.IsLoopback(): // a program on this machine can use each of these addresses
		return loopback
	case address.Is4():
		bits = address.BitLen()
	}
	network, _ := address.Prefix(bits)
	return network
}

// RateLimited reports whether too many authentications from an address have failed recently.
func (a *Access) RateLimited(remote string) bool { return a.failures.exceeded(remote) }

// RecordFailure counts a failed authentication from an address.
func (a *Access) RecordFailure(remote string) { a.failures.record(remote) }

// exceeded reports whether an address has exceeded the rate.
func (f *failures) exceeded(remote string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	limiter := f.by[NetworkOf(remote)]
	return limiter != nil && limiter.Tokens() < 1
}

// record counts a failure.
func (f *failures) record(remote string) {
	network := NetworkOf(remote)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by[network] == nil {
		f.evict()
		f.by[network] = rate.NewLimiter(rate.Every(failuresEvery), failuresAtOnce)
	}
	f.by[network].Allow()
}

// evict removes addresses if there are too many. The caller holds mu.
func (f *failures) evict() {
	if f.by == nil {
		f.by = map[netip.Prefix]*rate.Limiter{}
	}
	if len(f.by) < maxAddresses {
		return
	}
	for network, limiter := range f.by {
		if limiter.Tokens() >= failuresAtOnce {
			delete(f.by, network)
		}
	}
	if len(f.by) >= maxAddresses {
		clear(f.by)
	}
}
