package httpapi

import (
	"net/http"
	"strconv"

	"github.com/varvedb/varve/column"
	"github.com/varvedb/varve/protocol/jsonpoints"
	"github.com/varvedb/varve/protocol/lineproto"
)

// PointDecoder turns JSON points into rows: package protocol/jsonpoints. It
// belongs to one request at a time.
type PointDecoder interface {
	// Parse returns a batch that is valid until the next Parse and shares no
	// memory with body.
	Parse(body []byte, types jsonpoints.Types, now int64) (*column.Batch, error)
	// MemoryBytes is what it holds between two bodies.
	MemoryBytes() int
}

// Schema knows the types of fields: package meta.
type Schema interface {
	// FieldTypes tells what the fields of a bucket are registered as.
	FieldTypes(bucket uint64) jsonpoints.Types
}

// data is POST /data: a point or an array of points as JSON.
func (a *API) data(w http.ResponseWriter, r *http.Request) error {
	p, err := a.servicePrincipal(r)
	if err != nil {
		return err
	}
	t, err := a.target(r, p)
	if err != nil {
		return err
	}
	if err := mayWrite(p, t, "to write to this bucket"); err != nil {
		return err
	}
	types := a.schema.FieldTypes(t.bucket)
	stored, refused, err := writeBody(a, r, a.points, t.bucket, a.pointDecoders, func(d PointDecoder, text []byte) (*column.Batch, lineproto.Left, error) {
		b, err := d.Parse(text, types, a.now().UnixNano())
		return b, lineproto.Left{}, err
	})
	if err != nil {
		return err
	}
	if refused.Points > 0 {
		return &Error{Code: Unprocessable, Message: strconv.Itoa(refused.Points) + " of " + strconv.Itoa(stored+refused.Points) +
			" points were refused, the others are stored: " + refused.Reason}
	}
	text := append(make([]byte, 0, 64), `{"status":"success","message":"`...)
	text = strconv.AppendInt(text, int64(stored), 10)
	if stored == 1 {
		text = append(text, " point is stored\"}\n"...)
	} else {
		text = append(text, " points are stored\"}\n"...)
	}
	w.Header().Set("Content-Type", contentJSON)
	_, err = w.Write(text)
	return err
}
