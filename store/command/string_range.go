package command

func stringRangeSpecs() []*Spec {
	const rangeComplexity = "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings."
	return []*Spec{
		{
			Name: "append", Arity: 3, Group: "string", Since: "2.0.0",
			Flags:      DenyOOM | Fast,
			Keys:       One(1, "RW INSERT"),
			Complexity: "O(1). The amortized time complexity is O(1) assuming the appended value is small and the already present value is of any size, since the dynamic string library used by Redis will double the free space available on every reallocation.",
			Summary:    "Append a value to a key",
			Syntax:     "key value",
			Write:      appendString,
		},
		{
			Name: "strlen", Arity: 2, Group: "string", Since: "2.2.0",
			Flags:      Fast,
			Keys:       One(1, "RO"),
			Complexity: "O(1)",
			Summary:    "Get the length of the value stored in a key",
			Syntax:     "key",
			Read:       strlen,
		},
		{
			Name: "setrange", Arity: 4, Group: "string", Since: "2.2.0",
			Flags:      DenyOOM,
			Keys:       One(1, "RW UPDATE"),
			Complexity: "O(1), not counting the time taken to copy the new string in place. Usually, this string is very small so the amortized complexity is O(1). Otherwise, complexity is O(M) with M being the length of the value argument.",
			Summary:    "Overwrite part of a string at key starting at the specified offset",
			Syntax:     "key offset value",
			Write:      setrange,
		},
		{
			Name: "getrange", Arity: 4, Group: "string", Since: "2.4.0",
			Keys:       One(1, "RO ACCESS"),
			Complexity: rangeComplexity,
			Summary:    "Get a substring of the string stored at a key",
			Syntax:     "key start end",
			Read:       getrange,
		},
		{
			Name: "substr", Arity: 4, Group: "string", Since: "1.0.0",
			Keys:            One(1, "RO ACCESS"),
			Complexity:      rangeComplexity,
			Summary:         "Get a substring of the string stored at a key",
			Syntax:          "key start end",
			DeprecatedSince: "2.0.0", ReplacedBy: "`GETRANGE`",
			Read: getrange,
		},
		{
			Name: "lcs", Arity: -3, Group: "string", Since: "7.0.0",
			Keys:       []KeySpec{{Flags: "RO ACCESS", Index: 1, Last: 1, Step: 1}},
			Complexity: "O(N*M) where N and M are the lengths of s1 and s2, respectively",
			Summary:    "Find longest common substring",
			Syntax:     "key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]",
			Read:       lcs,
		},
	}
}

// fits reports whether a string may be so long; if not, it has written the error.
func fits(c *Call, size, more int64) bool {
	if size > maxString || more > maxString || size+more > maxString {
		c.Reply.Error(errStringTooLong)
		return false
	}
	return true
}

func appendString(w *Write) {
	s, _, err := w.DB.Get(w.Args[1])
	switch {
	case err != nil:
		w.Fail(err)
		return
	case !fits(&w.Call, int64(len(s)), int64(len(w.Args[2]))):
		return
	}
	n, err := w.DB.Append(w.Args[1], w.Args[2])
	if err != nil {
		w.Fail(err)
		return
	}
	w.Reply.Int(int64(n))
}

func strlen(r *Read) {
	s, _, err := r.DB.Get(r.Args[1])
	if err != nil {
		r.Fail(err)
		return
	}
	r.Reply.Int(int64(len(s)))
}

func setrange(w *Write) {
	offset, ok := w.Int(2)
	if !ok {
		return
	}
	if offset < 0 {
		w.Reply.Error("ERR offset is out of range")
		return
	}
	key, value := w.Args[1], w.Args[3]
	s, _, err := w.DB.Get(key)
	switch {
	case err != nil:
		w.Fail(err)
		return
	case len(value) == 0:
		w.Reply.Int(int64(len(s)))
		return
	case !fits(&w.Call, offset, int64(len(value))):
		return
	}
	buf, err := w.DB.StringForUpdate(key, int(offset)+len(value))
	if err != nil {
		w.Fail(err)
		return
	}
	copy(buf[offset:], value)
	w.Reply.Int(int64(len(buf)))
}

func getrange(r *Read) {
	start, ok := r.Int(2)
	if !ok {
		return
	}
	end, ok := r.Int(3)
	if !ok {
		return
	}
	s, _, err := r.DB.Get(r.Args[1])
	if err != nil {
		r.Fail(err)
		return
	}
	n := int64(len(s))
	if start < 0 && end < 0 && start > end {
		r.Reply.Bulk(nil)
		return
	}
	if start < 0 {
		start = max(0, n+start)
	}
	if end < 0 {
		end = max(0, n+end)
	}
	end = min(end, n-1)
	if start > end {
		r.Reply.Bulk(nil)
		return
	}
	r.Reply.Bulk(s[start : end+1])
}
