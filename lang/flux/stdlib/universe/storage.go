package universe

import (
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/storage"
)

// fromStorage adds what reads and writes buckets.
func fromStorage(p *lib.Package) {
	p.Func("from", storage.FromParams, storage.CallFrom)
	p.Func("buckets", storage.BucketsParams, storage.CallBuckets)
	p.Func("to", storage.ToParams, storage.CallTo)
	p.Func("wideTo", storage.WideToParams, storage.CallWideTo)
}
