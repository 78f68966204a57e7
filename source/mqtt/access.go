package mqtt

import (
	"context"
	"crypto/x509"
	"errors"
)

// Access says who may connect.
type Access interface {
	// Admit returns who shows these credentials. An error that is ErrRefused
	// says that they are not right; others that this could not be found out.
	Admit(ctx context.Context, c *Credentials) (Identity, error)
}

// ErrRefused is for credentials that are not right.
var ErrRefused = errors.New("the name and password, token or certificate is not right")

// Credentials are what a client shows of itself.
type Credentials struct {
	Client   string // its id
	User     string
	Password []byte            // or a token
	Cert     *x509.Certificate // that TLS has verified; nil: none
	Address  string
}

// Kind says how a client has shown who it is.
type Kind string

// The kinds.
const (
	User        Kind = "user"
	Token       Kind = "token"
	Certificate Kind = "certificate"
)

// Identity is who a client is.
type Identity struct {
	Kind Kind
	// ID tells it from all others of its kind that are or were, as names do not: a
	// user who is made anew by the same name is another one. Sessions are found by it.
	ID string
	// Names are what rules may call it: the name of a user, the id and the
	// description of a token, the common name of a certificate. The first is
	// shown.
	Names []string
	// Publish and Subscribe say whether it may publish and subscribe where no
	// rules are declared.
	Publish, Subscribe bool
	// Still returns who it is by now, false if it may not be connected any more.
	// It is asked every few seconds; nil: that does not change.
	Still func() (Identity, bool)
}

// name is what device_status has.
func (i *Identity) name() string {
	if len(i.Names) == 0 {
		return ""
	}
	return i.Names[0]
}
