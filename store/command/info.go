package command

import "strings"

// FlagNames returns the names of the flags as COMMAND INFO prints them, in its
// order. Those that Redis has no name for are used here only.
func (s *Spec) FlagNames() []string {
	all := [...]struct {
		flag Flags
		name string
	}{
		{WriteFlag, "write"},
		{Readonly, "readonly"},
		{DenyOOM, "denyoom"},
		{Admin, "admin"},
		{PubSub, "pubsub"},
		{NoScript, "noscript"},
		{Blocking, "blocking"},
		{Loading, "loading"},
		{Stale, "stale"},
		{SkipMonitor, "skip_monitor"},
		{SkipSlowlog, "skip_slowlog"},
		{Fast, "fast"},
		{NoAuth, "no_auth"},
		{NoMandatoryKeys, "no_mandatory_keys"},
		{NoAsyncLoading, "no_async_loading"},
		{NoMulti, "no_multi"},
		{MovableKeys, "movablekeys"},
		{AllowBusy, "allow_busy"},
	}
	var names []string
	for _, f := range all {
		if s.AllFlags()&f.flag != 0 {
			names = append(names, f.name)
		}
	}
	return names
}

// Categories lists all ACL categories, in Redis's order.
func Categories() []string {
	return []string{
		"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string",
		"bitmap", "hyperloglog", "geo", "stream", "pubsub", "admin", "fast", "slow",
		"blocking", "dangerous", "connection", "transaction", "scripting",
	}
}

// groupCategory is the ACL category of a command's group, where there is one.
func groupCategory(group string) string {
	switch group {
	case "generic":
		return "keyspace"
	case "sorted-set":
		return "sortedset"
	case "transactions":
		return "transaction"
	case "string", "list", "set", "hash", "stream", "bitmap", "geo", "hyperloglog", "pubsub", "connection", "scripting":
		return group
	default: // "server", "cluster"
		return ""
	}
}

// Categories returns the ACL categories that a command is in, in Redis's order:
// what it declares, or else that of its group, and what its flags imply.
func (s *Spec) Categories() []string {
	in := map[string]bool{}
	switch {
	case s.ACL != "":
		for _, c := range strings.Fields(s.ACL) {
			in[c] = true
		}
	case len(s.Subcommands) == 0:
		in[groupCategory(s.Group)] = true
	}
	f := s.AllFlags()
	for _, implied := range []struct {
		category string
		yes      bool
	}{
		{"write", f&WriteFlag != 0},
		{"read", f&Readonly != 0 && !in["scripting"]},
		{"admin", f&Admin != 0},
		{"dangerous", f&(Admin|Dangerous) != 0},
		{"pubsub", f&PubSub != 0},
		{"fast", f&Fast != 0},
		{"slow", f&Fast == 0},
		{"blocking", f&Blocking != 0},
	} {
		if implied.yes {
			in[implied.category] = true
		}
	}
	var out []string
	for _, c := range Categories() {
		if in[c] {
			out = append(out, c)
		}
	}
	return out
}

// LegacyRange sums the key specs up in the way of Redis before 7: the first key,
// the last (negative: from the end) and the step. All are 0 if there is none.
func (s *Spec) LegacyRange() (first, last, step int) {
	abs := func(k KeySpec) int {
		if k.Last < 0 {
			return k.Last
		}
		return k.Index + k.Last
	}
	if len(s.Keys) == 1 && s.Keys[0].isRange() {
		k := s.Keys[0]
		return k.Index, abs(k), k.Step
	}
	for _, k := range s.Keys {
		if !k.isRange() {
			continue
		}
		if k.Step != 1 {
			return 0, 0, 0
		}
		if first == 0 || k.Index < first {
			first = k.Index
		}
		if a := abs(k); a < 0 || last >= 0 && a > last { // from the end is behind everything
			last = a
		}
		step = 1
	}
	return first, last, step
}

// isRange reports whether the keys stand at fixed places.
func (k KeySpec) isRange() bool { return !k.Unknown && k.Keyword == "" && !k.NumKeys }

// WriteInfo replies what COMMAND INFO says about a command.
func WriteInfo(reply Reply, s *Spec) {
	reply.Array(10)
	reply.BulkString(s.FullName())
	reply.Int(int64(s.Arity))
	writeStatuses(reply, s.FlagNames())
	first, last, step := s.LegacyRange()
	reply.Int(int64(first))
	reply.Int(int64(last))
	reply.Int(int64(step))
	categories := s.Categories()
	reply.Set(len(categories))
	for _, c := range categories {
		reply.Status("@" + c)
	}
	tips := strings.Fields(s.Tips)
	reply.Set(len(tips))
	for _, tip := range tips {
		reply.BulkString(tip)
	}
	reply.Set(len(s.Keys))
	for _, k := range s.Keys {
		writeKeySpec(reply, k)
	}
	reply.Set(len(s.Subcommands))
	for _, sub := range s.Subcommands {
		WriteInfo(reply, sub)
	}
}

func writeStatuses(reply Reply, names []string) {
	reply.Set(len(names))
	for _, name := range names {
		reply.Status(name)
	}
}

func writeKeySpec(reply Reply, k KeySpec) {
	reply.Map(3)
	reply.BulkString("flags")
	writeStatuses(reply, keyFlagNames(k.Flags))

	field := func(name string, n int) {
		reply.BulkString(name)
		reply.Int(int64(n))
	}
	begin := func(section, kind string, fields int) {
		reply.BulkString(section)
		reply.Map(2)
		reply.BulkString("type")
		reply.BulkString(kind)
		reply.BulkString("spec")
		reply.Map(fields)
	}
	switch {
	case k.Unknown:
		begin("begin_search", "unknown", 0)
	case k.Keyword != "":
		begin("begin_search", "keyword", 2)
		reply.BulkString("keyword")
		reply.BulkString(k.Keyword)
		field("startfrom", k.Index)
	default:
		begin("begin_search", "index", 1)
		field("index", k.Index)
	}
	switch {
	case k.Unknown:
		begin("find_keys", "unknown", 0)
	case k.NumKeys:
		begin("find_keys", "keynum", 3)
		field("keynumidx", 0)
		field("firstkey", 1)
		field("keystep", k.Step)
	default:
		begin("find_keys", "range", 3)
		field("lastkey", k.Last)
		field("keystep", k.Step)
		field("limit", k.Limit)
	}
}
