package meta

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Password is what is kept of a password: argon2id of RFC 9106 with salt and
// cost, as $argon2id$v=19$m=<KiB>,t=<passes>,p=<lanes>$<salt>$<hash>. Empty is
// none: nobody can sign in with it.
type Password string

// The cost is the least that OWASP recommends: some 30 ms and 19 MiB on one
// processor. A cost that rises later leaves what is kept valid, because the
// record says its own.
const (
	argonKiB    = 19 << 10
	argonPasses = 2
	argonLanes  = 1
	saltBytes   = 16
	keyBytes    = 32
)

const (
	minPassword = 8 // as in InfluxDB
	maxPassword = 1024
)

// hashing bounds how many passwords are hashed at once: each takes argonKiB of
// memory that nobody counts otherwise.
type hashing chan struct{}

// key derives the key of a password, when there is a place for it.
func (h hashing) key(ctx context.Context, password string, salt []byte, passes, kib uint32, lanes uint8) ([]byte, error) {
	select {
	case h <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h }()
	return argon2.IDKey([]byte(password), salt, passes, kib, lanes, keyBytes), nil
}

// hashPassword returns what is kept of a password.
func (s *Store) hashPassword(ctx context.Context, password string) (Password, error) {
	if len(password) < minPassword || len(password) > maxPassword {
		return "", &InvalidError{fmt.Sprintf("passwords must be at least %d and at most %d bytes long", minPassword, maxPassword)}
	}
	salt := make([]byte, saltBytes)
	if _, err := io.ReadFull(s.random, salt); err != nil {
		return "", fmt.Errorf("make salt: %w", err)
	}
	key, err := s.hashing.key(ctx, password, salt, argonPasses, argonKiB, argonLanes)
	if err != nil {
		return "", err
	}
	enc := base64.RawStdEncoding
	return Password(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonKiB, argonPasses, argonLanes,
		enc.EncodeToString(salt), enc.EncodeToString(key))), nil
}

// matches reports whether password is the one that p was made of. It takes
// as long for no password as for a wrong one.
func (s *Store) matches(ctx context.Context, p Password, password string) (bool, error) {
	none := p == ""
	if none {
		p = Password(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonKiB, argonPasses, argonLanes,
			strings.Repeat("A", base64.RawStdEncoding.EncodedLen(saltBytes)), strings.Repeat("A", base64.RawStdEncoding.EncodedLen(keyBytes))))
	}
	if len(password) > maxPassword {
		password = "" // hashing megabytes is no service to anybody
	}
	parts := strings.Split(string(p), "$")
	var version int
	var kib, passes uint32
	var lanes uint8
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, errors.New("what is kept of a password is not readable")
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &kib, &passes, &lanes); err != nil || version != argon2.Version || passes < 1 || lanes < 1 {
		return false, errors.New("the cost of a password is not readable")
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, fmt.Errorf("read the salt of a password: %w", err)
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil {
		return false, fmt.Errorf("read the hash of a password: %w", err)
	}
	got, err := s.hashing.key(ctx, password, salt, passes, kib, lanes)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1 && !none, nil
}
