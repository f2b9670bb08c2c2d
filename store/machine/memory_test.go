package machine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/raftredis/raftredis/store/command"
	"github.com/raftredis/raftredis/store/keyspace"
)

// small makes logs for a machine with little memory.
type small struct {
	*testing.T
	m   *Machine
	w   *watcher
	seq uint64
}

func newSmall(t *testing.T, policy keyspace.Policy, limit int64) *small {
	l := &small{T: t, w: &watcher{member: 1}}
	l.m = New(testTable(t), l.w)
	l.do(fmt.Sprint(command.SetLimits, " maxmemory ", limit, " maxmemory-policy ", int(policy)))
	return l
}

func (l *small) apply(build func(*Request)) []byte {
	l.Helper()
	l.seq++
	data := Seal(nil, Millis(1000+l.seq), l.seq*7919, [][]byte{request(Head{1, 1, l.seq, l.seq}, build)})
	if err := l.m.Apply(l.seq, 1, data); err != nil {
		l.Fatal(err)
	}
	return data
}

func (l *small) do(lines ...string) string {
	l.Helper()
	l.w.reply = recorder{}
	l.apply(func(r *Request) {
		for _, line := range lines {
			r.Write(0, args(line))
		}
	})
	return fmt.Sprint(l.w.reply)
}

func (l *small) used() int64 { return l.m.Keyspace().Used() }

// TestEvictsBelow: the leader's proposal goes by what is so when it is applied.
func TestEvictsBelow(t *testing.T) {
	fill := func(policy keyspace.Policy) *small {
		l := newSmall(t, policy, 10_000)
		for i := 0; l.used() < 9_900; i++ {
			l.do(fmt.Sprintf("set k%d %s PX 100000", i, strings.Repeat("x", 20)))
		}
		return l
	}
	names := func(n int) (keys []string) {
		for i := range n {
			keys = append(keys, fmt.Sprint("k", i))
		}
		return keys
	}
	has := func(l *small, key string) bool {
		view := l.m.Keyspace().View(0, 0)
		return view.Exists([]byte(key))
	}
	t.Run("no more than is needed", func(t *testing.T) {
		l := fill(keyspace.AllKeysLRU)
		l.apply(func(r *Request) { r.Evict(0, 0, names(1000)) })
		if used := l.used(); used > 10_000-10_000/lowWater || used < 9_000 {
			t.Errorf("%d bytes are left", used)
		}
		if has(l, "k0") || !has(l, "k50") {
			t.Error("not in the order in which they were named")
		}
	})
	t.Run("a key that has lost its deadline", func(t *testing.T) {
		l := fill(keyspace.VolatileLRU)
		l.do("persist k0")
		l.apply(func(r *Request) { r.Evict(0, 9_700, names(4)) })
		if !has(l, "k0") || has(l, "k1") {
			t.Error("a volatile policy evicts what has no deadline, or nothing")
		}
	})
	t.Run("noeviction", func(t *testing.T) {
		l := fill(keyspace.NoEviction)
		l.apply(func(r *Request) { r.Evict(0, 0, names(10)) })
		if !has(l, "k0") {
			t.Error("something was evicted")
		}
	})
}

// TestMakesRoom: where the leader has not kept ahead, a write makes room for itself. It is
// refused only if nothing can go, and so are a transaction and a script.
func TestMakesRoom(t *testing.T) {
	for policy := keyspace.VolatileLRU; policy <= keyspace.NoEviction; policy++ {
		for _, expiring := range []bool{false, true} {
			t.Run(fmt.Sprint(policy, " expiring=", expiring), func(t *testing.T) {
				l := newSmall(t, policy, 20_000)
				refused := policy == keyspace.NoEviction || policy.Volatile() && !expiring
				px := ""
				if expiring {
					px = " PX 1000000"
				}
				oom := 0
				for i := range 400 {
					if reply := l.do(fmt.Sprintf("set k%d %s%s", i, strings.Repeat("x", i%50+1), px)); strings.Contains(reply, command.ErrOOM) {
						oom++
					} else if strings.Contains(reply, "OOM") {
						t.Fatal(reply)
					}
					if used := l.used(); used > 20_000+300 {
						t.Fatalf("%d bytes after %d writes", used, i)
					}
				}
				if (oom > 0) != refused {
					t.Fatalf("%d writes refused", oom)
				}
				if st := l.m.Keyspace().Stats(); (st.Evicted > 0) == refused || st.Evicted != st.EvictedLate {
					t.Errorf("%+v", st)
				}
				exec := func(lines ...string) string {
					l.w.reply = recorder{}
					l.apply(func(r *Request) {
						r.Exec(nil, len(lines))
						for _, line := range lines {
							r.ExecWrite(0, args(line))
						}
					})
					return fmt.Sprint(l.w.reply)
				}
				before := l.m.Keyspace().Stats().Evicted
				if got := exec("set a b", "del k1"); strings.Contains(got, "EXECABORT") != refused {
					t.Errorf("a transaction: %s", got)
				}
				if got := exec("del k2", "del k3"); strings.Contains(got, "OOM") {
					t.Errorf("a transaction that frees memory: %s", got)
				}
				if refused && l.m.Keyspace().Stats().Evicted != before {
					t.Error("something was evicted")
				}
			})
		}
	}
}

// TestEvictionIsDetermined: two machines whose nodes know different things of who reads
// what, one of which is restored from snapshots, are the same at every index.
func TestEvictionIsDetermined(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	for policy := keyspace.VolatileLRU; policy <= keyspace.NoEviction; policy++ {
		l := newSmall(t, policy, 15_000)
		twin := New(l.m.table, &watcher{})
		if err := twin.Apply(1, 1, Seal(nil, 1001, 7919, [][]byte{request(Head{1, 1, 1, 1}, func(r *Request) {
			r.Write(0, args(fmt.Sprint(command.SetLimits, " maxmemory 15000 maxmemory-policy ", int(policy))))
		})})); err != nil {
			t.Fatal(err)
		}
		for range 600 {
			key := fmt.Sprint("k", rnd.IntN(300))
			view := l.m.Keyspace().View(rnd.IntN(2), int64(2000+rnd.IntN(100_000))) // by a clock of its own
			view.Use([]byte(key), 3)
			data := l.apply(func(r *Request) {
				db := rnd.IntN(2)
				switch rnd.IntN(6) {
				case 0:
					r.Write(db, args("rpush l"+key+" a b c d e f g"))
				case 1:
					r.Write(db, args("append "+key+" more"))
				case 2:
					r.Evict(db, int64(rnd.IntN(16_000)), []string{key, "lk1", "lk2", "nope"})
				case 3:
					r.Reads(db, []KeyRead{{key, 2}, {"lk3", 1}})
				default:
					r.Write(db, args("set "+key+" "+strings.Repeat("y", rnd.IntN(200))+" PX 60000"))
				}
			})
			if err := twin.Apply(l.seq, 1, data); err != nil {
				t.Fatal(err)
			}
			if a, b := l.m.Capture().Digest(), twin.Capture().Digest(); a != b || l.used() != twin.Keyspace().Used() {
				t.Fatalf("%v: at %d the states differ: %s with %d bytes, %s with %d", policy, l.seq, a, l.used(), b, twin.Keyspace().Used())
			}
			if rnd.IntN(100) == 0 {
				var body bytes.Buffer
				if err := twin.Capture().Write(&body); err != nil {
					t.Fatal(err)
				}
				fresh, err := Load(l.m.table, &watcher{}, &body)
				if err != nil {
					t.Fatal(err)
				}
				twin = fresh
			}
		}
		if st := l.m.Keyspace().Stats(); (st.Evicted == 0) != (policy == keyspace.NoEviction) {
			t.Errorf("%v: %+v", policy, st)
		}
	}
}
