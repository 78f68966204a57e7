package manage

import (
	"container/list"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"
)

// Failed attempts to sign in make the next ones wait: by user and address
// together, so that nobody shuts out somebody else; by address, for one who tries many
// users; and by user, for many addresses, there for a moment only.
//
// An attempt counts as failed from its beginning until it has succeeded, so
// that many at once gain nothing. What is held is bounded: the one that failed
// longest ago is forgotten for a new one.
const (
	maxAttempts     = 10_000
	forgetAttempts  = 15 * time.Minute
	firstWait       = time.Second
	freeByPair      = 5
	freeByAddress   = 20
	freeByUser      = 50
	longestWait     = time.Minute
	longestByOthers = 5 * time.Second // for those who are not to blame

	// maxAttemptName is the longest name that is kept as it is, so that what
	// is held stays within some megabytes; of a longer one, which is nearly
	// always no user's, a hash is.
	maxAttemptName = 64
)

// attemptKey is whom failures are counted by; one of the two may be empty.
type attemptKey struct{ user, address string }

type attempt struct {
	key    attemptKey
	failed int
	last   time.Time
}

type attempts struct {
	now func() time.Time

	mu    sync.Mutex // guards all below
	byKey map[attemptKey]*list.Element
	order *list.List // of *attempt, the last failed first
}

func newAttempts(now func() time.Time) *attempts {
	return &attempts{now: now, byKey: map[attemptKey]*list.Element{}, order: list.New()}
}

// limits are what an attempt counts by.
func limits(user, address string) [3]limit {
	if len(user) > maxAttemptName {
		sum := sha256.Sum256([]byte(user))
		user = string(sum[:])
	}
	address = network(address)
	return [3]limit{
		{attemptKey{user, address}, freeByPair, longestWait},
		{attemptKey{"", address}, freeByAddress, longestByOthers},
		{attemptKey{user, ""}, freeByUser, longestByOthers},
	}
}

// network returns what one client has: an address of IPv4, or the 64 bits of
// IPv6 below which it may choose.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	p, err := ip.Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}

// limit is a key with how many failures are free and the longest wait.
type limit struct {
	attemptKey
	free    int
	longest time.Duration
}

// wait needs mu.
func (a *attempts) wait(l limit, now time.Time) time.Duration {
	e, ok := a.byKey[l.attemptKey]
	if !ok {
		return 0
	}
	at := e.Value.(*attempt)
	if now.Sub(at.last) > forgetAttempts {
		a.forget(e)
		return 0
	}
	over := at.failed - l.free
	if over < 0 {
		return 0
	}
	return max(0, at.last.Add(min(firstWait<<min(over, 10), l.longest)).Sub(now))
}

// blamed returns for how long an address has to wait for what failed there. It
// counts nothing, and what failed elsewhere does not count.
func (a *attempts) blamed(user, address string) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range limits(user, address) {
		if l.address != "" {
			wait = max(wait, a.wait(l, a.now()))
		}
	}
	return wait
}

// begin counts an attempt, or returns for how long there may be none.
func (a *attempts) begin(user, address string) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	for _, l := range limits(user, address) {
		wait = max(wait, a.wait(l, now))
	}
	if wait > 0 {
		return wait
	}
	for _, l := range limits(user, address) {
		e, ok := a.byKey[l.attemptKey]
		if !ok {
			if len(a.byKey) >= maxAttempts {
				a.forget(a.order.Back())
			}
			e = a.order.PushFront(&attempt{key: l.attemptKey})
			a.byKey[l.attemptKey] = e
		}
		at := e.Value.(*attempt)
		at.failed++
		at.last = now
		a.order.MoveToFront(e)
	}
	return 0
}

// succeeded takes back what begin counted, and what failed before by the same
// user from the same address.
func (a *attempts) succeeded(user, address string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, l := range limits(user, address) {
		e, ok := a.byKey[l.attemptKey]
		if !ok {
			continue
		}
		if at := e.Value.(*attempt); i > 0 && at.failed > 1 {
			at.failed--
			continue
		}
		a.forget(e)
	}
}

// forget needs mu.
func (a *attempts) forget(e *list.Element) {
	delete(a.byKey, e.Value.(*attempt).key)
	a.order.Remove(e)
}
