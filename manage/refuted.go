package manage

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/varvedb/varve/meta"
)

// maxRefuted is how many wrong passwords are remembered: more than there are
// clients that nobody has told the new one.
const maxRefuted = 1000

// refuted are passwords that were found wrong, as keyed hashes with the address
// that showed them. One that comes again is wrong without a look, and is no guess:
// a client that nobody has told the new password does not make the others wait
// that stand behind its address. Each is good for what is kept of the password at
// that time.
type refuted struct {
	key []byte // random, of this process

	mu  sync.Mutex // guards all
	all map[[sha256.Size]byte]struct{}
}

func newRefuted(key string) *refuted {
	return &refuted{key: []byte(key), all: map[[sha256.Size]byte]struct{}{}}
}

// of is by the name for InfluxDB 1 and the user that there are of the name, zero
// if there are none.
func (r *refuted) of(c credentials, address string, l *meta.Login, u *meta.User) (h [sha256.Size]byte) {
	mac := hmac.New(sha256.New, r.key)
	fmt.Fprintf(mac, "%q %q %q %t %d %q %d %q %q", c.name, c.password, network(address), c.users, l.ID, l.Password, u.ID, u.Password, u.Status)
	copy(h[:], mac.Sum(nil))
	return h
}

func (r *refuted) has(h [sha256.Size]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.all[h]
	return ok
}

func (r *refuted) add(h [sha256.Size]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) >= maxRefuted {
		clear(r.all) // they are refuted again
	}
	r.all[h] = struct{}{}
}
