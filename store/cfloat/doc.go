// Package cfloat is floating point as C has it and Redis shows it: the syntax that
// strtod and strtold take, and the arithmetic of an 80-bit long double.
package cfloat
