package lua

import "math"

func (m *Machine) openMath() {
	t := m.NewTable()
	m.register(t, []Entry{
		{"abs", mathAbs}, {"acos", mathNaN(acos)}, {"asin", mathNaN(asin)}, {"atan", costly(atan)},
		{"atan2", math2(atan2)}, {"ceil", math1(math.Ceil)}, {"cosh", costly(cosh)}, {"cos", costly(cos)},
		{"deg", math1(func(f float64) float64 { return f / (math.Pi / 180) })}, {"exp", costly(exp)},
		{"floor", math1(math.Floor)}, {"fmod", math2(math.Mod)}, {"frexp", mathFrexp}, {"ldexp", mathLdexp},
		{"log10", mathNaN(log10)}, {"log", costly(log)}, {"max", mathMax}, {"min", mathMin},
		{"modf", mathModf}, {"pow", math2(pow)}, {"rad", math1(func(f float64) float64 { return f * (math.Pi / 180) })},
		{"sinh", costly(sinh)}, {"sin", costly(sin)}, {"sqrt", math1(math.Sqrt)}, {"tanh", costly(tanh)},
		{"tan", costly(tan)},
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

// costly is math1 of what realmath.go computes.
func costly(f func(float64) float64) GoFunc {
	g := math1(f)
	return func(t *Thread, args []Value) []Value {
		t.Step(realSteps)
		return g(t, args)
	}
}

// mathNaN is math1 for what C's library answers with the other NaN where there is no answer.
func mathNaN(f func(float64) float64) GoFunc {
	g := math1(f, neg(badNaN()))
	return func(t *Thread, args []Value) []Value {
		t.Step(realSteps)
		return g(t, args)
	}
}

func math2(f func(a, b float64) float64) GoFunc {
	return func(t *Thread, args []Value) []Value {
		a, b := t.CheckNumber(args, 1), t.CheckNumber(args, 2)
		t.Step(realSteps)
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
