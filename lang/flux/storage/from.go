package storage

import (
	"fmt"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/table"
)

// From is all of a bucket, which nobody can read: a range has to follow, and
// then the two are a Plan.
type From struct{ Bucket Bucket }

// Name implements flow.Op.
func (f *From) Name() string { return "from" }

// Details implements flow.Op.
func (f *From) Details() string { return fmt.Sprintf("bucket: %q", f.Bucket.Name) }

// Open implements flow.Op.
func (f *From) Open(*flow.Run, []table.Reader) (table.Reader, error) {
	return nil, fmt.Errorf("cannot submit unbounded read to %q; try bounding 'from' with a call to 'range'", f.Bucket.Name)
}
