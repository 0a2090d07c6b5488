package access

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// failures bounds how fast one address may fail to prove itself. Secrets cannot be guessed at any speed; what is saved
// is work: an unknown credential makes a server read the log once more. Known callers are not limited, so a proxy that
// all requests come through locks nobody out.
type failures struct {
	mu sync.Mutex // guards by
	by map[netip.Prefix]*rate.Limiter
}

const (
	failuresAtOnce = 20
	failuresEvery  = 3 * time.Second
	// maxAddresses bounds the memory. Beyond it addresses that failed long ago are forgotten; if no address did, all are.
	maxAddresses = 10_000
	// ownerBits is how much of an IPv6 address one owner has been given: the rest is theirs to choose.
	ownerBits = 64
)

// OwnerOf is what a caller is counted by: the IPv4 address of a HOST:PORT, or the part of an IPv6 address that its owner
// cannot choose. Any other text has the zero prefix.
func OwnerOf(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	address, bits := at.Addr().Unmap().WithZone(""), ownerBits
	if address.Is4() {
		bits = address.BitLen()
	}
	owner, _ := address.Prefix(bits)
	return owner
}

// TooFast says whether an address has failed to prove itself too often lately.
func (a *Access) TooFast(remote string) bool { return a.failures.spent(remote) }

// Failed counts that an address has failed to prove itself.
func (a *Access) Failed(remote string) { a.failures.note(remote) }

// spent says whether an address has failed too often lately.
func (f *failures) spent(remote string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	limiter := f.by[OwnerOf(remote)]
	return limiter != nil && limiter.Tokens() < 1
}

// note counts a failure.
func (f *failures) note(remote string) {
	owner := OwnerOf(remote)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by[owner] == nil {
		f.makeRoom()
		f.by[owner] = rate.NewLimiter(rate.Every(failuresEvery), failuresAtOnce)
	}
	f.by[owner].Allow()
}

// makeRoom makes room for one more address.
func (f *failures) makeRoom() {
	if f.by == nil {
		f.by = map[netip.Prefix]*rate.Limiter{}
	}
	if len(f.by) < maxAddresses {
		return
	}
	for owner, limiter := range f.by {
		if limiter.Tokens() >= failuresAtOnce {
			delete(f.by, owner)
		}
	}
	if len(f.by) >= maxAddresses {
		clear(f.by)
	}
}
