package experimental

import (
	"errors"

	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/transform"
	"github.com/varvedb/varve/lang/flux/value"
)

// invalid is the code of an error in a script, as influxdata/flux numbers codes.
const invalid = 3

// compare adds diff, and catch, which tells what is wrong.
func compare(p *lib.Package) {
	p.Func("diff", "<-got: stream, want: stream", func(c *value.Call) (value.Value, error) {
		op := &transform.Diff{Function: "experimental.diff", NaNsEqual: true}
		return flow.New(c, op, flow.Input(c, "want"), flow.Input(c, "got")), nil
	})
	p.Func("catch", "fn: function", func(c *value.Call) (value.Value, error) {
		v, err := c.InvokeNamed(c.Arg("fn").Func(), nil)
		if ended := flow.RunOf(c).Ended(); ended != nil {
			return value.Value{}, ended
		}
		msg, code := value.NullOf(value.String), value.NullOf(value.Uint)
		if err != nil {
			if placed := (*flow.Error)(nil); errors.As(err, &placed) {
				err = placed.Err
			}
			v, msg, code = value.NullOf(value.Null), value.OfString(err.Error()), value.OfUint(invalid)
		}
		return value.OfRecord(value.NewRecord([]string{"value", "msg", "code"}, []value.Value{v, msg, code})), nil
	})
}
