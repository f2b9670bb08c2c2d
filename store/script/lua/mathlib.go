package lua

import "math"

func (m *Machine) openMath() {
	t := m.NewTable()
	m.register(t, []Entry{
		{"abs", mathAbs}, {"acos", mathNaN(math.Acos)}, {"asin", mathNaN(math.Asin)}, {"atan", math1(math.Atan)},
		{"atan2", math2(math.Atan2)}, {"ceil", math1(math.Ceil)}, {"cosh", math1(math.Cosh)}, {"cos", math1(math.Cos)},
		{"deg", math1(func(f float64) float64 { return f / (math.Pi / 180) })}, {"exp", math1(math.Exp)},
		{"floor", math1(math.Floor)}, {"fmod", math2(math.Mod)}, {"frexp", mathFrexp}, {"ldexp", mathLdexp},
		{"log10", mathNaN(math.Log10)}, {"log", math1(math.Log)}, {"max", mathMax}, {"min", mathMin},
		{"modf", mathModf}, {"pow", math2(pow)}, {"rad", math1(func(f float64) float64 { return f * (math.Pi / 180) })},
		{"sinh", math1(math.Sinh)}, {"sin", math1(math.Sin)}, {"sqrt", math1(math.Sqrt)}, {"tanh", math1(math.Tanh)},
		{"tan", math1(math.Tan)},
	})
	m.SetString(t, "pi", Number(math.Pi))
	m.SetString(t, "huge", Number(math.Inf(1)))
	m.SetString(t, "mod", t.GetString("fmod"))
	m.SetString(m.Globals, "math", TableValue(t))
}

func math1(f func(float64) float64, none ...float64) GoFunc {
	return func(t *Thread, args []Value) []Value {
		x := t.CheckNumber(args, 1)
		r := f(x)
		if r != r {
			if r = nan(x, x); x == x && len(none) > 0 {
				r = none[0]
			}
		}
		return t.ret1(Number(r))
	}
}

// mathNaN is math1 for what C's library answers with the other NaN where there is no answer.
func mathNaN(f func(float64) float64) GoFunc {
	return math1(f, neg(badNaN))
}

func math2(f func(a, b float64) float64) GoFunc {
	return func(t *Thread, args []Value) []Value {
		a, b := t.CheckNumber(args, 1), t.CheckNumber(args, 2)
		r := f(a, b)
		if r != r {
			r = nan(a, b)
		}
		return t.ret1(Number(r))
	}
}

func mathAbs(t *Thread, args []Value) []Value {
	return t.ret1(Number(math.Abs(t.CheckNumber(args, 1))))
}

func mathFrexp(t *Thread, args []Value) []Value {
	f, e := math.Frexp(t.CheckNumber(args, 1))
	return t.ret2(Number(f), Int(e))
}

func mathLdexp(t *Thread, args []Value) []Value {
	f := t.CheckNumber(args, 1)
	return t.ret1(Number(math.Ldexp(f, t.CheckInt(args, 2))))
}

func mathModf(t *Thread, args []Value) []Value {
	f := t.CheckNumber(args, 1)
	if math.IsInf(f, 0) {
		return t.ret2(Number(f), Number(math.Copysign(0, f)))
	}
	i := math.Trunc(f)
	return t.ret2(Number(i), Number(math.Copysign(f-i, f)))
}

func mathMax(t *Thread, args []Value) []Value {
	m := t.CheckNumber(args, 1)
	for i := 2; i <= len(args); i++ {
		if f := t.CheckNumber(args, i); f > m {
			m = f
		}
	}
	return t.ret1(Number(m))
}

func mathMin(t *Thread, args []Value) []Value {
	m := t.CheckNumber(args, 1)
	for i := 2; i <= len(args); i++ {
		if f := t.CheckNumber(args, i); f < m {
			m = f
		}
	}
	return t.ret1(Number(m))
}
