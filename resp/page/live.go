package page

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
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
	Status  json.RawMessage   `json:"status,omitempty"` // RAFT STATUS JSON, of a node that has it
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
	a := asks{clients: r.URL.Query().Get("clients") != "", status: true}
	for {
		n, err := c.news(&a)
		if err != nil {
			// The stream has begun, so the status cannot say it.
			_, _ = fmt.Fprintf(w, "event: end\ndata: %s\n\n", strings.ReplaceAll(err.Error(), "\n", " ")) //nolint:gosec // an event stream, of which nothing is taken for HTML
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

// asks says what one page wants beside what all want.
type asks struct {
	clients bool // the list of clients, which is long
	status  bool // until the node says that it has none: an error each second is noise in its statistics
}

// news asks the node for all that the page shows by itself.
func (c *client) news(a *asks) (*news, error) {
	n := &news{At: time.Now().UnixMilli(), Errors: map[string]string{}}
	type part struct {
		name    string
		command []string
		take    func(reply)
	}
	parts := []part{
		{"user", []string{"ACL", "WHOAMI"}, func(r reply) { n.User = shown(r) }},
		{"nodes", []string{"RAFT", "NODES"}, func(r reply) {
			for _, m := range list(r) {
				n.Nodes = append(n.Nodes, pairs(m))
			}
		}},
		{"slowlog", []string{"SLOWLOG", "GET", strconv.Itoa(slowest)}, n.takeSlowlog},
		{"latency", []string{"LATENCY", "LATEST"}, n.takeLatency},
	}
	if a.clients {
		parts = append(parts, part{"clients", []string{"CLIENT", "LIST"}, n.takeClients})
	}
	if a.status {
		parts = append(parts, part{"status", []string{"RAFT", "STATUS", "JSON"}, func(r reply) {
			if t, is := r.(text); is && json.Valid(t.bytes) {
				n.Status = t.bytes
			}
		}})
	}
	// The last, so that it counts the others.
	parts = append(parts, part{"info", []string{"INFO", "everything"}, func(r reply) { n.Info = raw(r) }})

	var commands [][]string
	for _, p := range parts {
		commands = append(commands, p.command)
	}
	replies, err := c.do(commands...)
	if err != nil {
		return nil, err
	}
	for i, p := range parts {
		if failed, is := replies[i].(failure); is {
			n.Errors[p.name] = string(failed)
		} else {
			p.take(replies[i])
		}
	}
	a.status = n.Status != nil
	return n, nil
}

func (n *news) takeSlowlog(r reply) {
	for _, e := range list(r) {
		f := list(e)
		if len(f) < 6 {
			continue
		}
		s := slow{ID: number(f[0]), At: number(f[1]), Usec: number(f[2]), Addr: shown(f[4]), Name: shown(f[5])}
		for _, a := range list(f[3]) {
			s.Args = append(s.Args, shown(a))
		}
		n.Slowlog = append(n.Slowlog, s)
	}
}

func (n *news) takeLatency(r reply) {
	for _, e := range list(r) {
		if f := list(e); len(f) >= 4 {
			n.Latency = append(n.Latency, event{Name: shown(f[0]), At: number(f[1]), Last: number(f[2]), Max: number(f[3])})
		}
	}
}

func (n *news) takeClients(r reply) {
	n.Clients = raw(r)
	if len(n.Clients) > clientMax {
		n.Clients, n.Cut = n.Clients[:strings.LastIndexByte(n.Clients[:clientMax], '\n')+1], true
	}
}
