// Package math is math of the standard library: functions of floats as IEEE 754
// and package math of Go have them, and constants.
package math

import (
	"math"

	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

// Packages returns the package. What is asked of a null is null.
func Packages() []*lib.Package {
	p := lib.New("math")
	for name, v := range map[string]float64{
		"pi": math.Pi, "e": math.E, "phi": math.Phi, "sqrt2": math.Sqrt2, "sqrte": math.SqrtE, "sqrtpi": math.SqrtPi, "sqrtphi": math.SqrtPhi,
		"ln2": math.Ln2, "log2e": math.Log2E, "ln10": math.Ln10, "log10e": math.Log10E,
		"maxfloat": math.MaxFloat64, "smallestNonzeroFloat": math.SmallestNonzeroFloat64,
	} {
		p.Value(name, value.OfFloat(v))
	}
	p.Value("maxint", value.OfInt(math.MaxInt64)).Value("minint", value.OfInt(math.MinInt64)).Value("maxuint", value.OfUint(math.MaxUint64))
	for name, f := range map[string]func(float64) float64{
		"abs": math.Abs, "acos": math.Acos, "acosh": math.Acosh, "asin": math.Asin, "asinh": math.Asinh, "atan": math.Atan, "atanh": math.Atanh,
		"cbrt": math.Cbrt, "ceil": math.Ceil, "cos": math.Cos, "cosh": math.Cosh, "erf": math.Erf, "erfc": math.Erfc, "erfcinv": math.Erfcinv,
		"erfinv": math.Erfinv, "exp": math.Exp, "exp2": math.Exp2, "expm1": math.Expm1, "floor": math.Floor, "gamma": math.Gamma,
		"j0": math.J0, "j1": math.J1, "log": math.Log, "log10": math.Log10, "log1p": math.Log1p, "log2": math.Log2, "logb": math.Logb,
		"round": math.Round, "roundtoeven": math.RoundToEven, "sin": math.Sin, "sinh": math.Sinh, "sqrt": math.Sqrt, "tan": math.Tan,
		"tanh": math.Tanh, "trunc": math.Trunc, "y0": math.Y0, "y1": math.Y1,
	} {
		p.Scalar(name, "x: float", value.Float, func(c *value.Call) (value.Value, error) { return value.OfFloat(f(c.Args[0].Float())), nil })
	}
	for _, f := range []struct {
		name, params string
		apply        func(a, b float64) float64
	}{
		{"atan2", "y: float, x: float", math.Atan2}, {"copysign", "x: float, y: float", math.Copysign}, {"dim", "x: float, y: float", math.Dim},
		{"hypot", "p: float, q: float", math.Hypot}, {"mod", "x: float, y: float", math.Mod}, {"nextafter", "x: float, y: float", math.Nextafter},
		{"pow", "x: float, y: float", math.Pow}, {"remainder", "x: float, y: float", math.Remainder},
		{"mMax", "x: float, y: float", math.Max}, {"mMin", "x: float, y: float", math.Min},
	} {
		p.Scalar(f.name, f.params, value.Float, func(c *value.Call) (value.Value, error) {
			return value.OfFloat(f.apply(c.Args[0].Float(), c.Args[1].Float())), nil
		})
	}
	for name, f := range map[string]func(int, float64) float64{"jn": math.Jn, "yn": math.Yn} {
		p.Scalar(name, "n: int, x: float", value.Float, func(c *value.Call) (value.Value, error) {
			// Bessel functions are computed by recurrence, step by step up to
			// their order, and are as good as zero or infinite long before this.
			const most = 1 << 20
			n := min(max(c.Args[0].Int(), -most), most)
			return value.OfFloat(f(int(n), c.Args[1].Float())), nil
		})
	}
	p.Scalar("pow10", "n: int", value.Float, func(c *value.Call) (value.Value, error) {
		return value.OfFloat(math.Pow10(int(min(max(c.Args[0].Int(), -400), 400)))), nil
	})
	p.Scalar("ldexp", "frac: float, exp: int", value.Float, func(c *value.Call) (value.Value, error) {
		return value.OfFloat(math.Ldexp(c.Args[0].Float(), int(min(max(c.Args[1].Int(), -5000), 5000)))), nil
	})
	p.Scalar("ilogb", "x: float", value.Float, func(c *value.Call) (value.Value, error) {
		return value.OfFloat(float64(math.Ilogb(c.Args[0].Float()))), nil
	})
	p.Scalar("isInf", "f: float, sign: int", value.Bool, func(c *value.Call) (value.Value, error) {
		sign := c.Args[1].Int()
		return value.OfBool(math.IsInf(c.Args[0].Float(), int(min(max(sign, -1), 1)))), nil
	})
	p.Scalar("isNaN", "f: float", value.Bool, func(c *value.Call) (value.Value, error) { return value.OfBool(math.IsNaN(c.Args[0].Float())), nil })
	p.Scalar("signbit", "x: float", value.Bool, func(c *value.Call) (value.Value, error) { return value.OfBool(math.Signbit(c.Args[0].Float())), nil })
	p.Scalar("float64bits", "f: float", value.Uint, func(c *value.Call) (value.Value, error) {
		return value.OfUint(math.Float64bits(c.Args[0].Float())), nil
	})
	p.Scalar("float64frombits", "b: uint", value.Float, func(c *value.Call) (value.Value, error) {
		return value.OfFloat(math.Float64frombits(c.Args[0].Uint())), nil
	})
	p.Func("NaN", "", func(*value.Call) (value.Value, error) { return value.OfFloat(math.NaN()), nil })
	p.Func("mInf", "sign: int", func(c *value.Call) (value.Value, error) {
		if c.Int("sign", 1) >= 0 {
			return value.OfFloat(math.Inf(1)), nil
		}
		return value.OfFloat(math.Inf(-1)), nil
	})
	p.Scalar("frexp", "f: float", value.Record, func(c *value.Call) (value.Value, error) {
		frac, exp := math.Frexp(c.Args[0].Float())
		return pair("frac", value.OfFloat(frac), "exp", value.OfInt(int64(exp))), nil
	})
	p.Scalar("lgamma", "x: float", value.Record, func(c *value.Call) (value.Value, error) {
		l, sign := math.Lgamma(c.Args[0].Float())
		return pair("lgamma", value.OfFloat(l), "sign", value.OfInt(int64(sign))), nil
	})
	p.Scalar("modf", "f: float", value.Record, func(c *value.Call) (value.Value, error) {
		whole, frac := math.Modf(c.Args[0].Float())
		return pair("int", value.OfFloat(whole), "frac", value.OfFloat(frac)), nil
	})
	p.Scalar("sincos", "x: float", value.Record, func(c *value.Call) (value.Value, error) {
		sin, cos := math.Sincos(c.Args[0].Float())
		return pair("sin", value.OfFloat(sin), "cos", value.OfFloat(cos)), nil
	})
	return []*lib.Package{p}
}

func pair(a string, x value.Value, b string, y value.Value) value.Value {
	return value.OfRecord(value.NewRecord([]string{a, b}, []value.Value{x, y}))
}
