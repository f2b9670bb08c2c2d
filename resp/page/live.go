package page

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// What one piece of news holds at most.
const (
	infoSize  = 1 << 20
	slowest   = 64        // of the slow log
	clientMax = 128 << 10 // of CLIENT LIST
)

// news is what the page is told each time. What the user may not see, or what the node
// did not answer, is in Errors, by the names of the fields.
type news struct {
	At      int64             `json:"at"` // ms, the node's clock where it says
	User    string            `json:"user"`
	Info    string            `json:"info"` // INFO everything, as it is
	Nodes   []map[string]any  `json:"nodes"`
	Slowlog []slow            `json:"slowlog"`
	Latency []event           `json:"latency"`
	Clients string            `json:"clients,omitempty"` // CLIENT LIST, as it is
	Cut     bool              `json:"cut,omitempty"`     // there are more clients
	Errors  map[string]string `json:"errors,omitempty"`
}

// slow is an entry of SLOWLOG GET.
type slow struct {
	ID   int64    `json:"id"`
	At   int64    `json:"at"` // s
	Usec int64    `json:"usec"`
	Args []string `json:"args"`
	Addr string   `json:"addr"`
	Name string   `json:"name"`
}

// event is one of LATENCY LATEST.
type event struct {
	Name string `json:"name"`
	At   int64  `json:"at"`   // s
	Last int64  `json:"last"` // ms
	Max  int64  `json:"max"`  // ms
}

// live tells the page what there is, again and again, as server-sent events, until the
// browser leaves. The user's ACL is that of each moment.
func (p *Page) live(w http.ResponseWriter, r *http.Request) {
	c, done, ok := p.enter(w, r)
	if !ok {
		return
	}
	defer done()
	c.keep = infoSize
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(p.opts.Every)
	defer tick.Stop()
	for {
		n, err := c.news(r.URL.Query().Get("clients") != "")
		if err != nil {
			// The stream has begun, so the status cannot say it.
			_, _ = fmt.Fprintf(w, "event: end\ndata: %s\n\n", strings.ReplaceAll(err.Error(), "\n", " "))
			_ = out.Flush()
			return
		}
		data, err := json.Marshal(n)
		if err != nil {
			return // no news has what cannot be marshalled
		}
		_ = out.SetWriteDeadline(time.Now().Add(patience)) // who does not read is gone
		if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil {
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-p.over:
			return
		case <-tick.C:
		}
	}
}

// news asks the node for all that the page shows by itself.
func (c *client) news(clients bool) (*news, error) {
	commands := [][]string{
		{"ACL", "WHOAMI"},
		{"INFO", "everything"},
		{"RAFT", "NODES"},
		{"SLOWLOG", "GET", fmt.Sprint(slowest)},
		{"LATENCY", "LATEST"},
	}
	if clients {
		commands = append(commands, []string{"CLIENT", "LIST"})
	}
	replies, err := c.do(commands...)
	if err != nil {
		return nil, err
	}
	n := &news{At: time.Now().UnixMilli(), Errors: map[string]string{}}
	take := func(i int, name string, from func(reply)) {
		if failed, is := replies[i].(failure); is {
			n.Errors[name] = string(failed)
			return
		}
		from(replies[i])
	}
	take(0, "user", func(r reply) { n.User = shown(r) })
	take(1, "info", func(r reply) { n.Info = raw(r) })
	take(2, "nodes", func(r reply) {
		for _, m := range list(r) {
			n.Nodes = append(n.Nodes, pairs(m))
		}
	})
	take(3, "slowlog", func(r reply) {
		for _, e := range list(r) {
			if f := list(e); len(f) >= 6 {
				s := slow{ID: number(f[0]), At: number(f[1]), Usec: number(f[2]), Addr: shown(f[4]), Name: shown(f[5])}
				for _, a := range list(f[3]) {
					s.Args = append(s.Args, shown(a))
				}
				n.Slowlog = append(n.Slowlog, s)
			}
		}
	})
	take(4, "latency", func(r reply) {
		for _, e := range list(r) {
			if f := list(e); len(f) >= 4 {
				n.Latency = append(n.Latency, event{Name: shown(f[0]), At: number(f[1]), Last: number(f[2]), Max: number(f[3])})
			}
		}
	})
	if clients {
		take(5, "clients", func(r reply) {
			n.Clients = raw(r)
			if len(n.Clients) > clientMax {
				n.Clients, n.Cut = n.Clients[:strings.LastIndexByte(n.Clients[:clientMax], '\n')+1], true
			}
		})
	}
	return n, nil
}
