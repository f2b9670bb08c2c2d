package command

import (
	"strconv"

	"github.com/raftredis/raftredis/store/keyspace"
)

// The internal commands about the limits of compact forms and of memory (keyspace.Limits).
// They are directives, and so CONFIG GET and CONFIG SET know them, but they are
// state as well: CONFIG SET proposes SetLimits, and every node has the new value
// when it has applied that.
const (
	GetLimits = "config.get-limits" // replies a map of names and numbers
	SetLimits = "config.set-limits" // name number [name number ...]; all or nothing
)

// Limit describes one of the limits: what CONFIG SET has to check.
type Limit = keyspace.Limit

// AllLimits lists the limits.
func AllLimits() []Limit { return keyspace.AllLimits() }

// Limits declares the internal commands about limits.
func Limits() []*Spec {
	return []*Spec{
		{
			Name: GetLimits, Arity: 1, Group: "server", Since: "7.0.0", Internal: true,
			Complexity: "O(1)",
			Summary:    "Get the limits of compact forms",
			Read:       getLimits,
		},
		{
			Name: SetLimits, Arity: -3, Group: "server", Since: "7.0.0", Internal: true,
			Complexity: "O(1)",
			Summary:    "Set limits of compact forms",
			Syntax:     "name value:integer [name value:integer ...]",
			Write:      setLimits,
		},
	}
}

func getLimits(r *Read) {
	all := keyspace.AllLimits()
	r.Reply.Map(len(all))
	for _, d := range all {
		r.Reply.BulkString(d.Name)
		r.Reply.Int(d.Get(r.DB.Limits()))
	}
}

func setLimits(w *Write) {
	fresh := *w.DB.Limits()
	for i := 1; i+1 < len(w.Args); i += 2 {
		d, ok := keyspace.FindLimit(string(w.Args[i]))
		if !ok {
			w.Reply.Error("ERR Unknown limit '" + string(w.Args[i]) + "'")
			return
		}
		n, ok := w.Int(i + 1)
		if !ok {
			return
		}
		if !d.Set(&fresh, n) {
			w.Reply.Error("ERR argument must be between " + strconv.FormatInt(d.Min, 10) + " and " + strconv.FormatInt(d.Max, 10) + " inclusive")
			return
		}
	}
	w.DB.SetLimits(fresh)
	w.OK()
}
