package page

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

//go:embed assets
var assets embed.FS

// most is how many requests are clients of the node at a time. A page has one open, and a
// second one for moments.
const most = 64

// Options is what a Page needs.
type Options struct {
	// Hosts are names under which browsers may ask for the page, beside addresses and
	// localhost: those of this machine. A name that is not among them may be one that
	// somebody points at us to have a browser read the page for him (DNS rebinding).
	Hosts []string
	// Every is how often the page is told news. 0: once a second.
	Every time.Duration
	// Starting says what a node does that is not open yet, in words. It may be nil. Anybody
	// is told, as there is nobody yet who could ask for a password.
	Starting func() []string
}

// Page is the handler. The zero value is not usable; see New.
type Page struct {
	opts  Options
	mux   *http.ServeMux
	serve atomic.Pointer[func(net.Conn)] // nil until Open
	slots chan struct{}
	over  chan struct{}
}

// New returns a page of a node that is starting.
func New(opts Options) *Page {
	if opts.Every == 0 {
		opts.Every = time.Second
	}
	p := &Page{opts: opts, mux: http.NewServeMux(), slots: make(chan struct{}, most), over: make(chan struct{})}
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		panic(err) // the name above is wrong
	}
	p.mux.Handle("/assets/", http.StripPrefix("/assets/", cached(http.FileServerFS(files))))
	p.mux.HandleFunc("/{$}", p.document)
	p.mux.HandleFunc("/api/live", p.live)
	p.mux.HandleFunc("/api/keys", p.asked(keys))
	p.mux.HandleFunc("/api/key", p.asked(key))
	return p
}

// Open says how to become a client of the node: serve takes over the node's end of a
// connection, whose addresses are those of the browser's. It may block.
func (p *Page) Open(serve func(net.Conn)) { p.serve.Store(&serve) }

// Close ends what would go on for as long as somebody looks. It is called once.
func (p *Page) Close() { close(p.over) }

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.guard(p.mux).ServeHTTP(w, r)
}

// Guard lets a handler of others answer only whom the page itself would answer: who asks
// for this host, not from another site, and, if there is a command, is a user who may run
// it. It is run, so it should be one that only looks.
func (p *Page) Guard(next http.Handler, command ...string) http.Handler {
	if len(command) == 0 {
		return p.guard(next)
	}
	return p.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, done, ok := p.enter(w, r)
		if !ok {
			return
		}
		_, err := c.want(command)
		done()
		if err != nil {
			refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// policy is the page's Content-Security-Policy: its own files and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard refuses what no page of ours asks for, whoever it is.
func (p *Page) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "the page only shows: GET", http.StatusMethodNotAllowed)
			return
		}
		if !p.ours(r.Host) {
			http.Error(w, "this node is not known as "+hostOf(r.Host)+": ask for it by its address, or by the name in cluster-announce-hostname", http.StatusMisdirectedRequest)
			return
		}
		if o := r.Header.Get("Origin"); o != "" && o != "http://"+r.Host && o != "https://"+r.Host {
			http.Error(w, "the page answers no other site", http.StatusForbidden)
			return
		}
		switch r.Header.Get("Sec-Fetch-Site") {
		case "", "none", "same-origin":
		default:
			// A link on another site is no reason to refuse the page itself.
			if r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.URL.Path != "/" {
				http.Error(w, "the page answers no other site", http.StatusForbidden)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// ours reports whether a Host header names this machine. An address does: to rebind it
// takes a name.
func (p *Page) ours(host string) bool {
	name := hostOf(host)
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return strings.EqualFold(name, "localhost") || slices.ContainsFunc(p.opts.Hosts, func(h string) bool { return h != "" && strings.EqualFold(h, name) })
}

// hostOf is a Host header without the port.
func hostOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// cached has browsers ask again each time: the files change with the binary.
func cached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "" || strings.HasSuffix(r.URL.Path, "/") {
			http.NotFound(w, r) // no listings
			return
		}
		w.Header().Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

// document answers with the page. Asking for it is what makes a browser ask for a name
// and a password.
func (p *Page) document(w http.ResponseWriter, r *http.Request) {
	_, done, ok := p.enter(w, r)
	if !ok {
		return
	}
	done()
	index, err := assets.ReadFile("assets/index.html")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.ServeContent(w, r, "index.html", time.Time{}, bytes.NewReader(index))
}

// enter makes the request a client of the node. It answers the request itself if that
// cannot be; otherwise done has to be called.
func (p *Page) enter(w http.ResponseWriter, r *http.Request) (c *client, done func(), ok bool) {
	serve := p.serve.Load()
	if serve == nil {
		said := []string{"the node is starting"}
		if p.opts.Starting != nil {
			said = append(said, p.opts.Starting()...)
		}
		w.Header().Set("Refresh", "1") // the browser asks again until there is a page
		http.Error(w, strings.Join(said, "\n"), http.StatusServiceUnavailable)
		return nil, nil, false
	}
	select {
	case p.slots <- struct{}{}:
	default:
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return nil, nil, false
	}
	c = connect(*serve, localAddr(r), remoteAddr(r))
	done = func() {
		c.close()
		<-p.slots
	}
	if err := c.login(r); err != nil {
		done()
		refuse(w, r, err)
		return nil, nil, false
	}
	return c, done, true
}

// login makes the connection that of the user whom the request names, if it names one, and
// finds out whether he may look. INFO is the least that there is to see.
func (c *client) login(r *http.Request) error {
	if user, password, given := r.BasicAuth(); given {
		auth := []string{"AUTH", user, password}
		if user == "" {
			auth = []string{"AUTH", password}
		}
		if _, err := c.want(auth); err != nil {
			return err
		}
	}
	if _, err := c.want([]string{"INFO", "server"}); err != nil {
		return err
	}
	_, err := c.do([]string{"CLIENT", "SETNAME", "page"}) // one who may not goes without
	return err
}

// want sends a command that has to succeed.
func (c *client) want(command []string) (reply, error) {
	replies, err := c.do(command)
	if err != nil {
		return nil, err
	}
	if failed, is := replies[0].(failure); is {
		return nil, failed
	}
	return replies[0], nil
}

// refuse answers a request with what the node said. Whoever could be somebody else is
// asked for a name and a password.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusBadGateway
	var failed failure
	if errors.As(err, &failed) {
		switch code, _, _ := strings.Cut(string(failed), " "); code {
		case "NOAUTH", "WRONGPASS", "NOPERM":
			status = http.StatusUnauthorized
			w.Header().Set("WWW-Authenticate", `Basic realm="raftredis", charset="UTF-8"`)
		case "DENIED":
			status = http.StatusForbidden
		case "LOADING", "BUSY", "CLUSTERDOWN", "MASTERDOWN":
			status = http.StatusServiceUnavailable
		case "ERR":
			if _, _, given := r.BasicAuth(); given { // AUTH where no password is set, for one
				status = http.StatusUnauthorized
				w.Header().Set("WWW-Authenticate", `Basic realm="raftredis", charset="UTF-8"`)
			}
		}
	}
	http.Error(w, err.Error(), status)
}

// asked is the handler of one question to the node.
func (p *Page) asked(question func(*client, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, done, ok := p.enter(w, r)
		if !ok {
			return
		}
		defer done()
		answer, err := question(c, r)
		var bad badRequest
		switch {
		case errors.As(err, &bad):
			http.Error(w, bad.Error(), http.StatusBadRequest)
			return
		case err != nil:
			status := http.StatusBadGateway
			if strings.HasPrefix(err.Error(), "NOPERM") {
				status = http.StatusForbidden // not 401: what else the user sees stays
			}
			http.Error(w, err.Error(), status)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer) // if not, nobody reads it any more
	}
}

func remoteAddr(r *http.Request) net.Addr {
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return net.TCPAddrFromAddrPort(a)
	}
	return &net.TCPAddr{} // not of this machine, as far as we know
}

func localAddr(r *http.Request) net.Addr {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return a
	}
	return &net.TCPAddr{}
}
