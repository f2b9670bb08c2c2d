package resp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tidwall/redcon"

	"github.com/raftredis/raftredis/resp/wire"
	"github.com/raftredis/raftredis/store"
	"github.com/raftredis/raftredis/store/command"
)

func migrateSpec() command.Spec {
	return command.Spec{
		Name: "migrate", Arity: -6, Flags: command.WriteFlag | command.MovableKeys | command.Dangerous, Group: "generic", Since: "2.6.0",
		Keys: []command.KeySpec{
			{Flags: "RW ACCESS DELETE", Index: 3, Step: 1},
			{Flags: "RW ACCESS DELETE INCOMPLETE", Keyword: "KEYS", Index: -2, Last: -1, Step: 1},
		},
		FindKeys:   migrateKeys,
		Tips:       "nondeterministic_output",
		Complexity: "This command actually executes a DUMP+DEL in the source instance, and a RESTORE in the target instance. See the pages of these commands for time complexity. Also an O(N) data transfer between the two instances is performed.",
		Summary:    "Transfer keys to another Redis, or raftredis",
		Syntax:     "host port <key | \"\"> destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2 username password] [KEYS key [key ...]]",
	}
}

// migrateSecret is about what stands behind AUTH and AUTH2.
func migrateSecret(argv [][]byte, i int) bool {
	return i > 6 && (command.EqualFold(argv[i-1], "auth") || command.EqualFold(argv[i-1], "auth2") || command.EqualFold(argv[i-2], "auth2"))
}

// migrateKeys finds the keys: one, or those behind KEYS if that is empty.
func migrateKeys(argv [][]byte) []command.KeyRef {
	const flags = "RW ACCESS DELETE"
	// As Redis, which looks closer only if KEYS is found somewhere before the end.
	if !slices.ContainsFunc(argv[2:len(argv)-1], func(a []byte) bool { return command.EqualFold(a, "keys") }) {
		return []command.KeyRef{{Pos: 3, Flags: flags}}
	}
	for i := 6; i < len(argv); i++ {
		switch {
		case command.EqualFold(argv[i], "auth"):
			i++
		case command.EqualFold(argv[i], "auth2"):
			i += 2
		case command.EqualFold(argv[i], "keys") && len(argv[3]) > 0:
			return nil // the command refuses it
		case command.EqualFold(argv[i], "keys"):
			refs := []command.KeyRef{}
			for pos := i + 1; pos < len(argv); pos++ {
				refs = append(refs, command.KeyRef{Pos: pos, Flags: flags})
			}
			return refs
		}
	}
	return []command.KeyRef{{Pos: 3, Flags: flags}}
}

// migration is one MIGRATE. The node that the client is at sends the values; they are
// deleted by entries of the log, each on condition that nothing has happened to the
// key since it was sent. So a write that comes between is never lost: the key stays.
type migration struct {
	addr     string
	timeout  time.Duration
	db       int64
	copy     bool
	replace  bool
	login    [][]byte // arguments of AUTH
	keys     [][]byte
	fromDB   int
	withMark []migrated
}

// migrated is a key that was sent.
type migrated struct {
	key  []byte
	mark store.Watched
	done bool // the target has it
}

func (c *conn) parseMigrate(argv [][]byte) (*migration, string) {
	m := &migration{addr: net.JoinHostPort(string(argv[1]), string(argv[2])), keys: argv[3:4], fromDB: c.db}
	for i := 6; i < len(argv); i++ {
		more := len(argv) - 1 - i
		switch arg := argv[i]; {
		case command.EqualFold(arg, "copy"):
			m.copy = true
		case command.EqualFold(arg, "replace"):
			m.replace = true
		case command.EqualFold(arg, "auth") && more >= 1:
			m.login = argv[i+1 : i+2]
			i++
		case command.EqualFold(arg, "auth2") && more >= 2:
			m.login = argv[i+1 : i+3]
			i += 2
		case command.EqualFold(arg, "keys"):
			if len(argv[3]) != 0 {
				return nil, "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"
			}
			m.keys = argv[i+1:]
			i = len(argv)
		default:
			return nil, command.ErrSyntax
		}
	}
	ms, ok := command.ParseInt(argv[5])
	if !ok {
		return nil, command.ErrNotInteger
	}
	if m.db, ok = command.ParseInt(argv[4]); !ok {
		return nil, command.ErrNotInteger
	}
	if ms <= 0 {
		ms = 1000
	}
	m.timeout = time.Duration(min(ms, time.Hour.Milliseconds()*24)) * time.Millisecond
	return m, ""
}

func (c *conn) cmdMigrate(argv [][]byte) {
	m, line := c.parseMigrate(argv)
	if line == "" {
		line = c.migrate(m)
	}
	switch line {
	case "":
		c.enc.Status("OK")
	case noKey:
		c.enc.Status(noKey)
	default:
		c.enc.Error(line)
	}
}

const noKey = "NOKEY"

// migrate does it, and returns noKey or an error to reply with, if any.
func (c *conn) migrate(m *migration) string {
	// This node may be behind: what it sends should be what is there now.
	doneC := make(chan error, 1)
	c.srv.store.Barrier(func(err error) { doneC <- err })
	if err := <-doneC; err != nil {
		return store.Line(err)
	}
	if !c.anyThere(m) {
		return noKey
	}
	line := c.transfer(m)
	if m.copy {
		return line
	}
	changed, err := c.deleteMigrated(m)
	switch {
	case line != "":
		return line
	case err != "":
		return err
	case changed > 0:
		return fmt.Sprintf("TRYAGAIN %d of the keys changed or expired while they were sent: here they are what they are now, and the target instance has what they were before", changed)
	}
	return ""
}

func (c *conn) anyThere(m *migration) bool {
	r := c.srv.store.BeginRead()
	defer r.End()
	for _, key := range m.keys {
		if _, there := c.ask(&r, m.fromDB, "type", key); there {
			return true
		}
	}
	return false
}

// ask runs a read of one key on this node. there says whether there is such a key.
func (c *conn) ask(r *store.Reader, db int, name string, key []byte) (reply []byte, there bool) {
	var e wire.Encoder
	r.Do(db, c.srv.opts.Table.Lookup([]byte(name)), [][]byte{[]byte(name), key}, &e)
	_, v := redcon.ReadNextRESP(e.Buf)
	switch name {
	case "type":
		return nil, string(v.Data) != "none"
	default:
		return v.Data, v.Type == redcon.Integer && string(v.Data) != "-2" || v.Type == redcon.Bulk && e.Buf[1] != '-'
	}
}

// transfer sends the keys, and notes which of them the target has. It returns an
// error to reply with, if any.
func (c *conn) transfer(m *migration) string {
	target, err := net.DialTimeout("tcp", m.addr, m.timeout)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return errMigrateWrite
	case err != nil:
		return errMigrateConnect
	}
	defer func() { _ = target.Close() }() // all that matters of it has been read
	out := bufio.NewWriterSize(&slowWriter{target, m.timeout}, 64<<10)
	write := func(args ...[]byte) {
		b := redcon.AppendArray(nil, len(args))
		for _, a := range args {
			b = redcon.AppendBulk(b, a)
		}
		_, _ = out.Write(b) // an error stays until Flush
	}
	prelude := 1
	if m.login != nil {
		write(append([][]byte{[]byte("AUTH")}, m.login...)...)
		prelude++
	}
	write([]byte("SELECT"), []byte(decimal(m.db)))
	seen := make(map[string]bool)
	for _, key := range m.keys {
		if seen[string(key)] {
			continue
		}
		seen[string(key)] = true
		payload, ttl, mark, ok := c.dump(m.fromDB, key)
		if !ok {
			continue
		}
		m.withMark = append(m.withMark, migrated{key: key, mark: mark})
		args := [][]byte{[]byte("RESTORE"), key, []byte(decimal(ttl)), payload}
		if m.replace {
			args = append(args, []byte("REPLACE"))
		}
		write(args...)
	}
	defer func() {
		for i := range m.withMark {
			c.srv.store.Unwatch([]store.Watched{m.withMark[i].mark})
		}
	}()
	if out.Flush() != nil {
		return errMigrateWrite
	}
	in := bufio.NewReader(target)
	refused, ready := "", false // whether AUTH and SELECT went well
	for i := range prelude + len(m.withMark) {
		_ = target.SetReadDeadline(time.Now().Add(m.timeout))
		line, err := in.ReadString('\n')
		if err != nil {
			return errMigrateRead
		}
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "-"):
			if refused == "" {
				refused = oneLine("ERR Target instance replied with error: " + line[1:])
			}
		case i >= prelude:
			m.withMark[i-prelude].done = ready
		}
		if i == prelude-1 {
			ready = refused == ""
		}
	}
	return refused
}

const (
	errMigrateConnect = "IOERR error or timeout connecting to the client"
	errMigrateWrite   = "IOERR error or timeout writing to target instance"
	errMigrateRead    = "IOERR error or timeout reading to target instance"
)

// slowWriter gives every write its own time.
type slowWriter struct {
	nc      net.Conn
	timeout time.Duration
}

func (w *slowWriter) Write(b []byte) (int, error) {
	if err := w.nc.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return 0, err
	}
	return w.nc.Write(b)
}

var _ io.Writer = (*slowWriter)(nil)

// dump returns a key's value, how long it has to live (ms, 0: for ever), and a mark
// of its state, all of it as of one moment.
func (c *conn) dump(db int, key []byte) (payload []byte, ttl int64, mark store.Watched, ok bool) {
	r := c.srv.store.BeginRead()
	defer r.End()
	if payload, ok = c.ask(&r, db, "dump", key); !ok {
		return nil, 0, mark, false
	}
	left, _ := c.ask(&r, db, "pttl", key)
	if ttl, _ = strconv.ParseInt(string(left), 10, 64); ttl < 0 {
		ttl = 0 // it has no deadline
	} else {
		ttl = max(ttl, 1)
	}
	return payload, ttl, r.Watch(db, key), true
}

// deleteMigrated deletes what the target has, each key for itself, unless it has
// changed since. It returns how many have, or an error to reply with.
func (c *conn) deleteMigrated(m *migration) (changed int, line string) {
	var b store.Batch
	spec := c.srv.opts.Table.Lookup([]byte("del"))
	if c.tracking.on {
		b.By(store.By{Tracker: c.tracking.tracker})
	}
	for i := range m.withMark {
		if k := &m.withMark[i]; k.done {
			b.Exec([]store.Watched{k.mark}, []store.Queued{{DB: m.fromDB, Spec: spec, Argv: [][]byte{[]byte("DEL"), k.key}}})
		}
	}
	if b.Len() == 0 {
		return 0, ""
	}
	var outcome wire.Encoder
	doneC := make(chan struct{})
	c.srv.store.Submit(&b, &outcome, func() { close(doneC) })
	<-doneC
	for rest := outcome.Buf; len(rest) > 0; {
		n, v := redcon.ReadNextRESP(rest)
		if n == 0 {
			break
		}
		switch {
		case v.Type == redcon.Error:
			return 0, string(v.Data)
		case rest[1] == '-': // a null array: the transaction did not run
			changed++
		}
		rest = rest[n:]
	}
	return changed, ""
}
