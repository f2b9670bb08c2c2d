package machine

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/raftredis/raftredis/store/acl"
)

// setUser is a change as a node makes it of ACL SETUSER.
func setUser(t testing.TB, name string, rules ...string) acl.Change {
	t.Helper()
	p := acl.Parser{Commands: acl.NewCommands(testTable(t)), Split: func(s string) ([]string, bool) { return strings.Fields(s), true }}
	parsed, err := p.Parse(rules)
	if err != nil {
		t.Fatal(err)
	}
	return acl.SetUser(name, false, parsed)
}

func TestUsers(t *testing.T) {
	r := newRun(t, 1)
	other := newRun(t, 2) // nobody waits there
	seq := uint64(0)
	apply := func(want string, changes ...acl.Change) {
		t.Helper()
		seq++
		e := Seal(nil, 1000, seq, [][]byte{request(Head{1, 1, seq, 1}, func(q *Request) {
			for _, c := range changes {
				q.Users(c)
			}
		})})
		for _, n := range []*run{r, other} {
			if err := n.apply(e); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.w.replies(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if r.digest() != other.digest() {
			t.Error("digests differ")
		}
	}
	before := r.digest()
	apply("1 1", setUser(t, "alice", "on", ">secret", "~a*", "+@read"), setUser(t, "bob"))
	if r.w.users != 2 || r.Users().Find("alice") == nil || r.digest() == before {
		t.Errorf("told %d times", r.w.users)
	}
	apply(`*2 1 "The password you are trying to remove from the user does not exist"`, setUser(t, "alice", "off", "<nope"))
	apply("1 0", acl.DelUser([]string{"bob", "nobody"}), acl.DelUser([]string{"nobody"}))
	if r.w.users != 3 {
		t.Errorf("told %d times", r.w.users)
	}
	var b bytes.Buffer
	if err := r.Capture().Write(&b); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(r.table, &watcher{}, bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if alice := loaded.Users().Find("alice"); alice == nil || !alice.Accepts([]byte("secret")) || loaded.Users().Find("bob") != nil {
		t.Error("other users in a snapshot")
	}
	if bytes.Contains(b.Bytes(), []byte("secret")) {
		t.Error("the password is in the snapshot")
	}
}

// A change that cannot be read stops the node: others may have been able to.
func TestUsersOfANewerVersion(t *testing.T) {
	for _, line := range []string{"set u 0 1 ?new", "replace u"} {
		r := newRun(t, 1)
		e := Seal(nil, 1, 1, [][]byte{request(Head{1, 1, 1, 1}, func(q *Request) {
			q.op(opUsers, 0)
			q.b = AppendArgs(q.b, args(line))
		})})
		if err := r.apply(e); !errors.Is(err, ErrEntry) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// What a script may do is what its user may do when it is applied: on every member,
// those included that did not know of the user when the script was sent.
func TestScriptsOfUsers(t *testing.T) {
	r, other := newRun(t, 1), newRun(t, 2)
	seq := uint64(0)
	apply := func(want string, build func(*Request)) {
		t.Helper()
		seq++
		e := Seal(nil, 1000, seq, [][]byte{request(Head{1, 1, seq, 1}, build)})
		for _, n := range []*run{r, other} {
			if err := n.apply(e); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.w.replies(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if r.digest() != other.digest() {
			t.Error("digests differ")
		}
	}
	eval := func(q *Request, source string) { q.Write(0, [][]byte{[]byte("eval"), []byte(source), []byte("0")}) }
	const set = `local e = redis.pcall('set', 'a', 1) return e.err or 'done'`
	const noKey = `"ERR The user executing the script can't access at least one of the keys mentioned in the command arguments"`
	const nothing = `"ERR The user executing the script can't run this command or subcommand"`
	apply("1", func(q *Request) { q.Users(setUser(t, "bob", "on", "nopass", "~b*", "+@all")) })
	bob := r.Users().Find("bob").ID
	apply(noKey+` "done"`, func(q *Request) { // of two users in one request
		q.As(bob)
		eval(q, set)
		q.As(0)
		eval(q, set)
	})
	if want := []acl.Refusal{{Denied: acl.DeniedKey, Object: "a"}}; !slices.Equal(r.w.refused, want) {
		t.Errorf("%v, want %v", r.w.refused, want)
	}
	apply(`"done"`, func(q *Request) { eval(q, set) }) // the next request begins anew
	apply("exec=true OK "+noKey+" executed", func(q *Request) {
		q.As(bob)
		q.Exec(nil, 2)
		q.ExecWrite(0, args("set a 1"))
		q.ExecWrite(0, [][]byte{[]byte("eval"), []byte(set), []byte("0")})
	})
	apply(`1 "done"`, func(q *Request) { // the log has changed it since
		q.Users(setUser(t, "bob", "~*"))
		q.As(bob)
		eval(q, set)
	})
	apply("1 "+nothing, func(q *Request) {
		q.Users(acl.DelUser([]string{"bob"}))
		q.As(bob)
		eval(q, set)
	})
	r.w.refused = nil
	apply(`1 "false"`, func(q *Request) { // who only asks is not refused
		q.Users(setUser(t, "bob", "on", "~b*", "+@all"))
		q.As(bob + 1)
		eval(q, `redis.call('set', 'b', 1) return tostring(redis.acl_check_cmd('get', 'a'))`)
	})
	if len(r.w.refused) > 0 {
		t.Errorf("refused: %v", r.w.refused)
	}
}
