package machine

import (
	"bytes"
	"errors"
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
