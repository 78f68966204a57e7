package meta

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"sync"
)

// maxProven is how many passwords are remembered: more than there are logins
// and users whose clients come at the same time.
const maxProven = 1000

// proven are passwords that were found right, as keyed hashes: each is good for
// what is kept of the password at that time, so that another password makes it
// void.
type proven struct {
	key [sha256.Size]byte // random, of this process

	mu  sync.Mutex // guards all
	all map[Hash]struct{}
}

func (p *proven) of(id ID, kept Password, password string) (h Hash) {
	mac := hmac.New(sha256.New, p.key[:])
	mac.Write([]byte(id.String()))
	mac.Write([]byte(kept))
	mac.Write([]byte{0})
	mac.Write([]byte(password))
	copy(h[:], mac.Sum(nil))
	return h
}

func (p *proven) has(id ID, kept Password, password string) bool {
	h := p.of(id, kept, password)
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.all[h]
	return ok
}

func (p *proven) add(id ID, kept Password, password string) {
	h := p.of(id, kept, password)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) >= maxProven {
		clear(p.all) // they are proven again
	}
	p.all[h] = struct{}{}
}

// prove reports whether password is that of which kept is kept with the object
// of an id, and remembers it if so.
func (s *Store) prove(ctx context.Context, id ID, kept Password, password string) (bool, error) {
	ok, err := s.matches(ctx, kept, password)
	if ok {
		s.proven.add(id, kept, password)
	}
	return ok, err
}
