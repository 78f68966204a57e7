package otlp

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/wire"
)

// Fields of attributes.
const (
	keyValueKey   = 1<<3 | wire.Blobs
	keyValueValue = 2<<3 | wire.Blobs

	anyString = 1<<3 | wire.Blobs
	anyBool   = 2<<3 | wire.Varints
	anyInt    = 3<<3 | wire.Varints
	anyDouble = 4<<3 | wire.Fixed64s
	anyArray  = 5<<3 | wire.Blobs
	anyMap    = 6<<3 | wire.Blobs
	anyBytes  = 7<<3 | wire.Blobs

	listValue = 1<<3 | wire.Blobs
)

// Tags of the instrumentation, and of what is a difference.
const (
	tagScopeName    = "otel.scope.name"
	tagScopeVersion = "otel.scope.version"
	tagTemporality  = "temporality"
	valueDelta      = "delta"
)

// keyValue splits an attribute.
func keyValue(message []byte) (key, value []byte, err error) {
	r := wire.Read(message)
	for r.Next() {
		switch r.Field() {
		case keyValueKey:
			key = r.Bytes()
		case keyValueValue:
			value = r.Bytes()
		}
	}
	return key, value, r.Err()
}

// resourceTag adds an attribute of a resource to the tags.
func (d *Decoder) resourceTag(message []byte) error {
	key, value, err := keyValue(message)
	if err != nil {
		return err
	}
	if d.mapping.Resource != nil && !slices.Contains(d.mapping.Resource, string(key)) {
		return nil
	}
	return d.sharedTag(&d.resource, key, value)
}

// sharedTag adds an attribute of a resource or scope to tags. One that cannot be
// a tag leaves all data points below it out.
func (d *Decoder) sharedTag(tags *[]column.Tag, key, value []byte) error {
	if len(*tags) >= d.cfg.Rows.MaxTags {
		d.bad = fmt.Errorf("a resource or scope has more than %d attributes", d.cfg.Rows.MaxTags)
		return nil
	}
	var err error
	from := len(d.shared)
	if d.shared, err = d.appendValue(d.shared, value, 0); err != nil {
		if errors.Is(err, wire.ErrMalformed) {
			return err
		}
		d.bad = fmt.Errorf("attribute %q of a resource or scope: %w", clip(key), err)
		return nil
	}
	*tags = put(*tags, key, d.shared[from:len(d.shared):len(d.shared)])
	return nil
}

func (d *Decoder) scopeTags(message []byte) error {
	r := wire.Read(message)
	for r.Next() {
		switch r.Field() {
		case scopeName:
			d.scope = put(d.scope, []byte(tagScopeName), r.Bytes())
		case scopeVersion:
			d.scope = put(d.scope, []byte(tagScopeVersion), r.Bytes())
		case scopeAttribute:
			key, value, err := keyValue(r.Bytes())
			if err != nil {
				return err
			}
			if err := d.sharedTag(&d.scope, key, value); err != nil {
				return err
			}
		}
	}
	return r.Err()
}

// put adds a tag, in place of one of its name.
func put(tags []column.Tag, key, value []byte) []column.Tag {
	for i := range tags {
		if string(tags[i].Key) == string(key) {
			tags[i].Value = value
			return tags
		}
	}
	return append(tags, column.Tag{Key: key, Value: value})
}

// pointTags returns the tags of the present data point, those of resource and
// scope included.
func (d *Decoder) pointTags() ([]column.Tag, error) {
	if d.bad != nil {
		return nil, d.bad
	}
	if len(d.point.attributes) > d.cfg.Rows.MaxTags {
		return nil, fmt.Errorf("a data point of %q has more than %d attributes", clip(d.name), d.cfg.Rows.MaxTags)
	}
	d.tags = append(d.tags[:0], d.scope...)
	if d.delta {
		d.tags = put(d.tags, d.deltaKey, d.deltaValue)
	}
	for _, message := range d.point.attributes {
		key, value, err := keyValue(message)
		if err != nil {
			return nil, err
		}
		// Nearly all are texts, which need not be copied.
		if text, ok := textOf(value); ok {
			d.tags = put(d.tags, key, text)
			continue
		}
		from := len(d.text)
		if d.text, err = d.appendValue(d.text, value, 0); err != nil {
			return nil, fmt.Errorf("attribute %q of a data point of %q: %w", clip(key), clip(d.name), err)
		}
		d.tags = put(d.tags, key, d.text[from:len(d.text):len(d.text)])
	}
	return d.tags, nil
}

// textOf returns the text that an AnyValue is, if it is one in the usual form.
func textOf(any []byte) ([]byte, bool) {
	if len(any) >= 2 && any[0] == byte(anyString) && any[1] < 0x80 && len(any) == 2+int(any[1]) {
		return any[2:], true
	}
	return nil, false
}

var errTooDeep = errors.New("lists and maps in it lie too deep")

// appendValue appends an AnyValue as the value of a tag: a text as it is, bytes
// in base64, anything else as JSON has it.
func (d *Decoder) appendValue(dst, message []byte, depth int) ([]byte, error) {
	if depth > d.cfg.MaxDepth {
		return dst, errTooDeep
	}
	from := len(dst)
	r := wire.Read(message)
	for r.Next() {
		dst = dst[:from] // of several, the last one counts
		switch r.Field() {
		case anyString:
			if depth == 0 {
				dst = append(dst, r.Bytes()...)
			} else {
				dst = appendQuoted(dst, r.Bytes())
			}
		case anyBool:
			dst = strconv.AppendBool(dst, r.Word() != 0)
		case anyInt:
			dst = strconv.AppendInt(dst, r.Int(), 10)
		case anyDouble:
			dst = appendFloat(dst, r.Float())
		case anyBytes:
			if depth > 0 {
				dst = append(dst, '"')
			}
			dst = base64.StdEncoding.AppendEncode(dst, r.Bytes())
			if depth > 0 {
				dst = append(dst, '"')
			}
		case anyArray, anyMap:
			var err error
			if dst, err = d.appendList(dst, r.Bytes(), r.Field() == anyMap, depth+1); err != nil {
				return dst, err
			}
		}
		if len(dst)-from > maxValueBytes {
			return dst[:from], fmt.Errorf("its value has more than %d bytes", maxValueBytes)
		}
	}
	if len(dst) == from && depth > 0 {
		dst = append(dst, "null"...)
	}
	return dst, r.Err()
}

// maxValueBytes is beyond what a series may have for all of its tags.
const maxValueBytes = 1 << 16

// appendList appends an array, or a map, as JSON.
func (d *Decoder) appendList(dst, message []byte, isMap bool, depth int) (_ []byte, err error) {
	first, last := byte('['), byte(']')
	if isMap {
		first, last = '{', '}'
	}
	from := len(dst)
	dst = append(dst, first)
	r := wire.Read(message)
	for r.Next() {
		if r.Field() != listValue {
			continue
		}
		if len(dst) > from+1 {
			dst = append(dst, ',')
		}
		value := r.Bytes()
		if isMap {
			var key []byte
			if key, value, err = keyValue(value); err != nil {
				return dst, err
			}
			dst = append(appendQuoted(dst, key), ':')
		}
		if dst, err = d.appendValue(dst, value, depth); err != nil {
			return dst, err
		}
		if len(dst)-from > maxValueBytes {
			return dst, fmt.Errorf("its value has more than %d bytes", maxValueBytes)
		}
	}
	return append(dst, last), r.Err()
}

func appendQuoted(dst, text []byte) []byte {
	quoted, err := json.Marshal(string(text))
	if err != nil {
		panic("BUG: a string has no JSON: " + err.Error())
	}
	return append(dst, quoted...)
}

// appendFloat appends a float as short as it can be told.
func appendFloat(dst []byte, f float64) []byte {
	if math.IsInf(f, 1) {
		return append(dst, "+Inf"...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64)
}
