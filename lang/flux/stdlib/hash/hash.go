// Package hash holds the packages of the standard library that write values in
// hexadecimal digits and compute digests of them: contrib/bonitoo-io/hex and
// contrib/qxip/hash.
package hash

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

// Packages returns the packages. What is asked of a null is null.
func Packages() []*lib.Package {
	digits := lib.New("contrib/bonitoo-io/hex")
	digits.Func("string", "v: any", func(c *value.Call) (value.Value, error) {
		switch v := c.Args[0]; {
		case v.IsNull():
			return value.NullOf(value.String), nil
		case v.Kind() == value.Int:
			return value.OfString(strconv.FormatInt(v.Int(), 16)), nil
		case v.Kind() == value.Uint:
			return value.OfString(strconv.FormatUint(v.Uint(), 16)), nil
		case v.Kind() == value.Bytes:
			return value.OfString(hex.EncodeToString(v.Bytes())), nil
		case v.Kind() > value.Bytes:
			return v, c.Errorf("a value of type %s cannot be string", v.Kind())
		default:
			return value.OfString(v.Text()), nil
		}
	})
	digits.Scalar("int", "v: string", value.Int, func(c *value.Call) (value.Value, error) {
		i, err := strconv.ParseInt(c.Args[0].Str(), 16, 64)
		if err != nil {
			return value.Value{}, c.Errorf("%q is not an integer of hexadecimal digits", c.Args[0].Str())
		}
		return value.OfInt(i), nil
	})
	digits.Scalar("uint", "v: string", value.Uint, func(c *value.Call) (value.Value, error) {
		u, err := strconv.ParseUint(c.Args[0].Str(), 16, 64)
		if err != nil {
			return value.Value{}, c.Errorf("%q is not an unsigned integer of hexadecimal digits", c.Args[0].Str())
		}
		return value.OfUint(u), nil
	})
	digits.Scalar("bytes", "v: string", value.Bytes, func(c *value.Call) (value.Value, error) {
		b, err := hex.DecodeString(c.Args[0].Str())
		if err != nil {
			return value.Value{}, c.Errorf("%q is not pairs of hexadecimal digits", c.Args[0].Str())
		}
		return value.OfBytes(b), nil
	})

	digests := lib.New("contrib/qxip/hash")
	for name, of := range map[string]func(v []byte) string{
		"b64":      base64.StdEncoding.EncodeToString,
		"md5":      func(v []byte) string { return fmt.Sprintf("%x", md5.Sum(v)) },
		"sha1":     func(v []byte) string { return fmt.Sprintf("%x", sha1.Sum(v)) },
		"sha256":   func(v []byte) string { return fmt.Sprintf("%x", sha256.Sum256(v)) },
		"xxhash64": func(v []byte) string { return strconv.FormatUint(xxhash.Sum64(v), 10) },
	} {
		digests.Scalar(name, "v: string", value.String, func(c *value.Call) (value.Value, error) {
			return value.OfString(of([]byte(c.Args[0].Str()))), nil
		})
	}
	digests.Scalar("hmac", "v: string, k: string", value.String, func(c *value.Call) (value.Value, error) {
		h := hmac.New(sha1.New, []byte(c.Args[1].Str()))
		h.Write([]byte(c.Args[0].Str()))
		return value.OfString(base64.StdEncoding.EncodeToString(h.Sum(nil))), nil
	})
	return []*lib.Package{digits, digests}
}
