package page

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// How much of the keyspace one request looks at, at most.
const (
	scanCount = 500     // keys that SCAN looks at in a step
	scanSteps = 8       // steps, where few keys match
	pageKeys  = 100     // keys after which no further step is taken
	items     = 100     // elements of a value
	itemBytes = 4 << 10 // of each element
	valueWork = 4 << 20 // bytes that the elements may have altogether, about
)

// badRequest is a question that makes no sense.
type badRequest string

func (b badRequest) Error() string { return string(b) }

// keyLine is a key in the list. What the user may not know of it is missing.
type keyLine struct {
	Key   string `json:"key"` // base64url: keys are bytes
	Name  string `json:"name"`
	Type  string `json:"type"`
	TTL   int64  `json:"ttl"`            // ms, -1: none
	Bytes int64  `json:"bytes"`          // as of MEMORY USAGE
	Idle  *int64 `json:"idle,omitempty"` // s, unless the policy is LFU
	Freq  *int64 `json:"freq,omitempty"` // as of OBJECT FREQ, if it is
	Error string `json:"error,omitempty"`
}

// keyPage is a part of the keyspace.
type keyPage struct {
	Cursor  string    `json:"cursor"` // "0": that was all
	Scanned int       `json:"scanned"`
	Keys    []keyLine `json:"keys"`
}

// keys answers with the next keys behind a cursor, and what may be known of each.
func keys(c *client, r *http.Request) (any, error) {
	q := r.URL.Query()
	if err := c.choose(q.Get("db")); err != nil {
		return nil, err
	}
	p := &keyPage{Cursor: "0", Keys: []keyLine{}}
	if cursor := q.Get("cursor"); cursor != "" {
		if _, err := strconv.ParseUint(cursor, 10, 64); err != nil {
			return nil, badRequest("the cursor is no number")
		}
		p.Cursor = cursor
	}
	var found []text
	for range scanSteps {
		scan := []string{"SCAN", p.Cursor, "COUNT", strconv.Itoa(scanCount)}
		if match := q.Get("match"); match != "" && match != "*" {
			scan = append(scan, "MATCH", match)
		}
		if t := q.Get("type"); t != "" {
			scan = append(scan, "TYPE", t)
		}
		got, err := c.want(scan)
		if err != nil {
			return nil, err
		}
		f := list(got)
		if len(f) != 2 {
			return nil, errProtocol
		}
		p.Cursor = shown(f[0])
		p.Scanned += scanCount
		for _, k := range list(f[1]) {
			if t, is := k.(text); is {
				found = append(found, t)
			}
		}
		if p.Cursor == "0" || len(found) >= pageKeys {
			break
		}
	}
	var err error
	p.Keys, err = c.describe(found)
	return p, err
}

// choose selects a database.
func (c *client) choose(db string) error {
	if db == "" || db == "0" {
		return nil
	}
	_, err := c.want([]string{"SELECT", db})
	var failed failure
	if errors.As(err, &failed) && strings.HasPrefix(string(failed), "ERR") {
		return badRequest(failed)
	}
	return err
}

// describe asks what may be known of keys.
func (c *client) describe(found []text) ([]keyLine, error) {
	lines := make([]keyLine, 0, len(found))
	// Which of the two there is: the other is an error, which somebody might count.
	memory, err := c.want([]string{"INFO", "memory"})
	if err != nil {
		return nil, err
	}
	use := "IDLETIME"
	if strings.Contains(raw(memory), "maxmemory_policy:allkeys-lfu") || strings.Contains(raw(memory), "maxmemory_policy:volatile-lfu") {
		use = "FREQ"
	}
	var commands [][]string
	for _, k := range found {
		name := k.String()
		commands = append(commands, []string{"TYPE", name}, []string{"PTTL", name}, []string{"MEMORY", "USAGE", name},
			[]string{"OBJECT", use, name})
	}
	replies, err := c.do(commands...)
	if err != nil {
		return nil, err
	}
	for i, k := range found {
		of := replies[i*4 : i*4+4]
		l := keyLine{Key: base64.RawURLEncoding.EncodeToString(k.bytes), Name: printable(k.bytes), TTL: -1}
		if failed, is := of[0].(failure); is {
			l.Error = string(failed)
		} else {
			l.Type = shown(of[0])
		}
		if l.Type == "none" {
			continue // it has gone in between
		}
		if k.size > len(k.bytes) {
			l.Key, l.Error = "", "the key is longer than this page can show"
		}
		if ttl, is := of[1].(int64); is {
			l.TTL = ttl
		}
		l.Bytes = number(of[2])
		if n, is := of[3].(int64); is {
			if use == "FREQ" {
				l.Freq = &n
			} else {
				l.Idle = &n
			}
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// keyView is a key and the beginning of its value.
type keyView struct {
	keyLine
	Encoding string     `json:"encoding"`
	Length   int64      `json:"length"` // elements, or bytes of a string
	Columns  []string   `json:"columns"`
	Rows     [][]string `json:"rows"`
	Cut      bool       `json:"cut"` // there is more than Rows
}

// key answers with one key.
func key(c *client, r *http.Request) (any, error) {
	q := r.URL.Query()
	name, err := base64.RawURLEncoding.DecodeString(q.Get("key"))
	if err != nil {
		return nil, badRequest("the key is no base64url")
	}
	if err := c.choose(q.Get("db")); err != nil {
		return nil, err
	}
	k := string(name)
	lines, err := c.describe([]text{{name, len(name)}})
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, badRequest("there is no such key any more")
	}
	v := &keyView{keyLine: lines[0], Rows: [][]string{}}
	look, known := looks()[v.Type]
	if !known {
		return v, nil
	}
	replies, err := c.do([]string{"OBJECT", "ENCODING", k}, []string{look.length, k})
	if err != nil {
		return nil, err
	}
	v.Encoding, v.Length = shown(replies[0]), number(replies[1])
	if failed, is := replies[1].(failure); is {
		v.Error = string(failed)
		return v, nil
	}
	// A few of a thousand elements of a megabyte each, and many of small ones.
	count := int64(items)
	if v.Bytes > 0 && v.Length > 0 {
		count = min(count, max(1, valueWork/max(1, v.Bytes/v.Length)))
	}
	c.keep = itemBytes
	got, err := c.want(look.read(k, count))
	var failed failure
	if errors.As(err, &failed) { // what is known of the key is worth showing
		v.Error = failed.Error()
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	v.Columns, v.Rows, v.Cut = look.columns, look.rows(got), false
	if len(v.Rows) > items { // of a small set or hash SCAN gives everything
		v.Rows = v.Rows[:items]
	}
	if v.Type == "string" {
		v.Cut = v.Length > itemBytes
	} else {
		v.Cut = v.Length > int64(len(v.Rows))
	}
	return v, nil
}

// look says how the beginning of a value of one type is read.
type look struct {
	length  string
	read    func(key string, count int64) []string
	columns []string
	rows    func(reply) [][]string
}

func looks() map[string]look {
	last := func(n int64) string { return strconv.FormatInt(n-1, 10) }
	count := func(n int64) string { return strconv.FormatInt(n, 10) }
	behindCursor := func(each int) func(reply) [][]string {
		return func(r reply) [][]string {
			if f := list(r); len(f) == 2 {
				return grouped(f[1], each)
			}
			return nil
		}
	}
	return map[string]look{
		"string": {"STRLEN", func(k string, _ int64) []string { return []string{"GETRANGE", k, "0", last(itemBytes)} },
			[]string{"value"}, func(r reply) [][]string { return [][]string{{shown(r)}} }},
		"list": {"LLEN", func(k string, n int64) []string { return []string{"LRANGE", k, "0", last(n)} },
			[]string{"element"}, func(r reply) [][]string { return grouped(r, 1) }},
		"set": {"SCARD", func(k string, n int64) []string { return []string{"SSCAN", k, "0", "COUNT", count(n)} },
			[]string{"member"}, behindCursor(1)},
		"hash": {"HLEN", func(k string, n int64) []string { return []string{"HSCAN", k, "0", "COUNT", count(n)} },
			[]string{"field", "value"}, behindCursor(2)},
		"zset": {"ZCARD", func(k string, n int64) []string { return []string{"ZRANGE", k, "0", last(n), "WITHSCORES"} },
			[]string{"member", "score"}, func(r reply) [][]string { return grouped(r, 2) }},
		"stream": {"XLEN", func(k string, n int64) []string { return []string{"XRANGE", k, "-", "+", "COUNT", count(n)} },
			[]string{"id", "fields"}, entries},
	}
}

// grouped makes a row of each so many elements.
func grouped(r reply, each int) (rows [][]string) {
	all := list(r)
	for i := 0; i+each <= len(all); i += each {
		var row []string
		for _, e := range all[i : i+each] {
			row = append(row, shown(e))
		}
		rows = append(rows, row)
	}
	return rows
}

// entries are those of a stream.
func entries(r reply) (rows [][]string) {
	for _, e := range list(r) {
		f := list(e)
		if len(f) != 2 {
			continue
		}
		var fields []string
		for _, pair := range grouped(f[1], 2) {
			fields = append(fields, pair[0]+" = "+pair[1])
		}
		rows = append(rows, []string{shown(f[0]), strings.Join(fields, "\n")})
	}
	return rows
}
