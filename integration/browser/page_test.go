package browser

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/raftredis/raftredis/integration/cluster"
)

var pictures = flag.String("pictures", "", "directory to write the README's pictures to")

// hostile is a value that does something if it is taken for HTML.
const hostile = `<img src=x onerror="window.hacked=true"> & "quoted"`

// load has clients of a node read and write until the test ends. What they get does not
// matter.
func load(t *testing.T, addr string, seconds int) {
	t.Helper()
	c, err := cluster.Dial(addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	for n := 0; time.Now().Before(end); n++ {
		for i := range 20 {
			// Some keys are asked for before anybody has set them.
			key := fmt.Sprintf("session:%d", (n*7+i*i*31)%1200)
			if i%5 == 0 {
				c.Send("SET", key, strings.Repeat("x", 100+n%400), "EX", strconv.Itoa(20+n%900))
			} else {
				c.Send("GET", key)
			}
		}
		if c.Flush() != nil {
			return
		}
		for range 20 {
			if _, err := c.Receive(); err != nil {
				return
			}
		}
		time.Sleep(time.Duration(4+n%9) * time.Millisecond) // pace: a load, and waves in the pictures
	}
}

func fillKeys(t *testing.T, addr string) {
	t.Helper()
	for _, argv := range [][]string{
		{"SET", "greeting", "hello"},
		{"SET", "hostile", hostile},
		{"SET", "page:home", strings.Repeat("<p>Lorem ipsum dolor sit amet</p>\n", 3000), "EX", "86400"},
		{"SET", "binary", "\x00\x01\xffabc"},
		{"HSET", "user:1001", "name", "Ada", "language", "en", "visits", "41"},
		{"RPUSH", "queue:mail", "welcome 1001", "welcome 1002", "reset 1003"},
		{"SADD", "tags", "news", "sport", "weather"},
		{"ZADD", "scores", "1200", "ada", "990", "grace", "1480", "edsger"},
		{"XADD", "events", "1700000000000-0", "type", "login", "user", "1001"},
		{"SELECT", "0"},
	} {
		if _, err := cluster.Ask(addr, argv...); err != nil {
			t.Fatal(argv, err)
		}
	}
}

// TestPage is what somebody sees who looks at a follower.
func TestPage(t *testing.T) {
	b := open(t)
	c, nodes := start(t, 3, "--cluster-node-timeout", "2000")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	leader := c.Leader()
	var follower node
	for _, n := range nodes {
		if n.Node != leader {
			follower = n
		}
	}
	fillKeys(t, follower.Addr)
	b.do(chromedp.Navigate(follower.page))
	b.until("the page is live", `document.querySelector("#live").textContent === "live"`)
	if *pictures != "" {
		loaded := make(chan struct{})
		go func() {
			defer close(loaded)
			load(t, follower.Addr, 70)
		}()
		b.until("there is something to be seen", `document.querySelector("#live").dataset.news > 55`)
		b.picture("overview-light.png", "light")
		b.picture("overview-dark.png", "dark")
		b.picture("commands-light.png", "light")
		b.picture("log-dark.png", "dark")
		<-loaded
	} else {
		load(t, follower.Addr, 3)
	}
	b.equalsInfo(follower)
	b.members(c)

	b.keyboard()
	b.keys()
	b.accessible()

	// An election: the page of the follower says who leads now, and what has happened.
	b.do(js(`location.hash = "#/overview"`))
	eventually(t, "another node than that of the page leads", func() error {
		if leader = c.Leader(); leader == nil {
			return errors.New("there is no leader")
		}
		if leader == follower.Node { // it has been busy here
			_, err := cluster.Ask(leader.Addr, "RAFT", "TRANSFER")
			return errors.Join(err, errors.New("it has been handed over"))
		}
		return nil
	})
	leader.Kill()
	var next *cluster.Node
	eventually(t, "the page names the next leader", func() error {
		if next = c.Leader(); next == nil || next == leader {
			return errors.New("there is none yet")
		}
		shown := eval[string](b, `document.querySelector("#subtitle").textContent + document.querySelector("#events").textContent`)
		if !strings.Contains(shown, fmt.Sprintf("member %d leads", next.ID)) || !strings.Contains(shown, fmt.Sprintf("member %d leads now", next.ID)) {
			return fmt.Errorf("member %d leads, and the page says %s", next.ID, shown)
		}
		return nil
	})
	b.members(c)
	b.equalsInfo(follower)
	if c.Leader() == follower.Node { // which alone can know it
		b.until("the dead member is named", fmt.Sprintf(`document.querySelector("#alerts").textContent.includes("ember %d has not answered")`, leader.ID))
	}

	// The node ends and comes back: the page says so, and goes on.
	b.expecting("Failed to load resource") // the browser says that it could not connect
	follower.Kill()
	b.until("the node is gone", `document.querySelector("#live").dataset.state === "lost"`)
	if err := follower.Start(); err != nil {
		t.Fatal(err)
	}
	b.until("the page is live again", `document.querySelector("#live").textContent === "live"`)
	b.until("the start is noted", `document.querySelector("#events").textContent.includes("started again")`)
}

// equalsInfo compares every field of INFO that does not change while it is looked at with
// what the page shows.
func (b *tab) equalsInfo(n node) {
	b.t.Helper()
	// One connection for all questions: it is among the clients that INFO counts.
	conn, err := cluster.Dial(n.Addr)
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close()
	ask := func() (map[string]string, error) {
		reply, err := conn.Do("INFO", "everything")
		if err != nil {
			return nil, err
		}
		info := map[string]string{}
		for line := range strings.Lines(reply.(string)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				info[name] = value
			}
		}
		return info, nil
	}
	// compare looks for fields that the page shows otherwise, among those that did not
	// change while it was looked at.
	compare := func(least int, shown string) {
		b.t.Helper()
		eventually(b.t, "the page equals INFO", func() error {
			before, err := ask()
			if err != nil {
				return err
			}
			// What the page shows then was read in between.
			b.until("two more news", fmt.Sprintf(`Number(document.querySelector("#live").dataset.news) >= %d`, 2+eval[int](b, `Number(document.querySelector("#live").dataset.news)`)))
			page := eval[map[string]string](b, shown)
			after, err := ask()
			if err != nil {
				return err
			}
			if least < 100 { // the overview adds up the keys of all databases
				for _, info := range []map[string]string{before, after} {
					info["keys"], _, _ = strings.Cut(strings.TrimPrefix(info["db0"], "keys="), ",")
				}
			}
			same := 0
			for name, value := range before {
				got, is := page[name]
				if after[name] != value || !is && least < 100 {
					continue
				}
				if got != value {
					return fmt.Errorf("%s is %q on the page and %q in INFO", name, got, value)
				}
				same++
			}
			if same < least {
				return fmt.Errorf("only %d fields could be compared", same)
			}
			return nil
		})
	}
	b.do(js(`location.hash = "#/info"`))
	compare(100, `Object.fromEntries([...document.querySelectorAll("#info-all [data-name]")].map((e) => [e.dataset.name, e.lastElementChild.textContent]))`)
	b.do(js(`location.hash = "#/overview"`))
	compare(2, `Object.fromEntries([...document.querySelectorAll("#tiles [data-field]")].map((e) => [e.dataset.field, e.dataset.value]))`)
}

// members waits until the page shows all members, and who leads.
func (b *tab) members(c *cluster.Cluster) {
	b.t.Helper()
	eventually(b.t, "the page shows the members", func() error {
		leader := c.Leader()
		if leader == nil {
			return errors.New("there is no leader")
		}
		want := map[string]string{}
		for _, n := range c.Nodes {
			want[strconv.FormatUint(n.ID, 10)] = "follower"
		}
		want[strconv.FormatUint(leader.ID, 10)] = "leader"
		got := eval[map[string]string](b, `Object.fromEntries([...document.querySelectorAll('#members [data-field="role"]')].map((e) => [e.parentElement.cells[0].dataset.value, e.dataset.value]))`)
		if !maps.Equal(got, want) {
			return fmt.Errorf("the page shows %v, not %v", got, want)
		}
		return nil
	})
}

// keyboard goes through the page without a mouse.
func (b *tab) keyboard() {
	b.t.Helper()
	b.do(js(`document.activeElement.blur(); window.scrollTo(0, 0)`))
	b.do(chromedp.KeyEvent("2"))
	b.until("2 opens the second view", `location.hash === "#/commands" && !document.querySelector('[data-panel="commands"]').hidden`)
	b.until("what the clients did is there", `document.querySelector('#commands [data-field="cmdstat_get"]')?.dataset.value > 0`)
	b.do(chromedp.KeyEvent("3"))
	b.until("3 opens the log", `document.querySelector('#raft [data-field="raft_term"]')?.dataset.value > 0`)
	b.do(chromedp.KeyEvent("4"))
	b.until("4 opens the clients", `document.querySelector("#clients").textContent.includes("client list")`)
	b.do(chromedp.KeyEvent("/"))
	b.until("/ goes to the filter", `document.activeElement.id === "clients-filter"`)
	b.do(chromedp.KeyEvent("nobody like that"))
	b.until("it filters", `document.querySelector("#clients").textContent.includes("none like that")`)
	b.do(chromedp.KeyEvent(kb.Escape), chromedp.KeyEvent("p"))
	b.until("p pauses", `document.querySelector("#live").textContent === "paused"`)
	b.do(chromedp.KeyEvent("p"))
	b.until("p goes on", `document.querySelector("#live").textContent === "live"`)
	b.do(chromedp.KeyEvent("t"), chromedp.KeyEvent("t"))
	b.until("t changes colours", `document.documentElement.dataset.theme === "dark"`)
	b.do(chromedp.KeyEvent("t"))

	// Tab reaches everything, and what has the focus can be seen.
	b.do(chromedp.Navigate(eval[string](b, "location.origin")+"/#/overview"), chromedp.Reload())
	b.until("the page is live", `document.querySelector("#live").textContent === "live"`)
	want := []string{"Skip to the content", "Overview", "Commands", "Log", "Clients", "Keys", "INFO"}
	for _, name := range want {
		b.do(chromedp.KeyEvent(kb.Tab))
		if got := eval[string](b, `document.activeElement.textContent`); got != name {
			b.t.Errorf("Tab goes to %q, not %q", got, name)
		}
		if outline := eval[string](b, `getComputedStyle(document.activeElement).outlineStyle`); outline == "none" {
			b.t.Errorf("%s has the focus and does not show it", name)
		}
	}
}

// keys looks at keys with the keyboard alone.
func (b *tab) keys() {
	b.t.Helper()
	b.do(js(`document.activeElement.blur()`), chromedp.KeyEvent("5"))
	b.until("5 opens the keys", `!document.querySelector('[data-panel="keys"]').hidden`)
	for key, want := range map[string]string{
		"hostile":    hostile,
		"greeting":   "hello",
		"binary":     `\x00\x01\xffabc`,
		"user:1001":  "Ada",
		"queue:mail": "welcome 1002",
		"tags":       "weather",
		"scores":     "1480",
		"events":     "user = 1001",
	} {
		b.do(chromedp.KeyEvent("/"), js(`document.activeElement.select()`), chromedp.KeyEvent(key+kb.Enter))
		b.until(key+" is found", fmt.Sprintf(`[...document.querySelectorAll("#keys-found button.link")].map((e) => e.textContent).join() === %q`, key))
		b.do(chromedp.Focus(chromedp.CSS("#keys-found button.link")), chromedp.KeyEvent(kb.Enter))
		b.until(key+" is shown", fmt.Sprintf(`!document.querySelector("#key").hidden && document.querySelector("#key h2").textContent === %q && [...document.querySelectorAll("#key td")].some((e) => e.textContent.includes(%q))`, key, want))
		b.do(js(`document.activeElement.blur()`))
	}
	if eval[bool](b, `window.hacked === true`) {
		b.t.Error("a value was taken for HTML")
	}
	b.do(chromedp.KeyEvent("/"), js(`document.activeElement.select()`), chromedp.KeyEvent("*"), chromedp.Click(chromedp.CSS("#keys-survey")))
	b.until("all keys were looked at", `/^All .* were looked at/.test(document.querySelector("#keys-note").textContent)`)
	if got := eval[string](b, `document.querySelector("#keys-found button.link").textContent`); got != "page:home" {
		b.t.Errorf("the biggest key is %s", got)
	}
	if *pictures != "" {
		b.do(chromedp.Click(chromedp.CSS("#keys-found button.link")))
		b.until("the key is shown", `!document.querySelector("#key").hidden`)
		b.picture("keys-light.png", "light")
	}
}

// accessible checks in both colours that what can be used has a name, and what can be read
// has contrast (WCAG AA).
func (b *tab) accessible() {
	b.t.Helper()
	const unnamed = `[...document.querySelectorAll("input, select, button, a, [role=img], table, img, section")].filter((e) => e.checkVisibility()).filter((e) =>
		!(e.labels?.length || e.textContent.trim() || e.getAttribute("aria-label") || e.caption || e.getAttribute("alt") !== null)).map((e) => e.outerHTML.slice(0, 120))`
	const faint = `(() => {
		const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
		const over = (colours) => { canvas.clearRect(0, 0, 1, 1); for (const c of colours) { canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); } return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3); };
		const light = (rgb) => { const [r, g, b] = rgb.map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
		const bad = [];
		for (const e of document.querySelectorAll("body *")) {
			if (!e.checkVisibility() || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
			const behind = [];
			for (let p = e; p; p = p.parentElement) behind.unshift(getComputedStyle(p).backgroundColor);
			const a = light(over(behind)), t = light(over([...behind, getComputedStyle(e).color]));
			const ratio = (Math.max(a, t) + .05) / (Math.min(a, t) + .05);
			if (ratio < 4.5) bad.push(ratio.toFixed(2) + " " + e.outerHTML.slice(0, 100));
		}
		return bad;
	})()`
	background := map[string]string{}
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		background[scheme] = eval[string](b, `getComputedStyle(document.body).backgroundColor`)
		for _, view := range []string{"overview", "commands", "log", "clients", "keys", "info"} {
			b.do(js(fmt.Sprintf(`location.hash = "#/%s"`, view)))
			b.until("the view "+view, fmt.Sprintf(`!document.querySelector('[data-panel="%s"]').hidden`, view))
			for _, e := range eval[[]string](b, unnamed) {
				b.t.Errorf("%s: no name: %s", view, e)
			}
			for _, e := range eval[[]string](b, faint) {
				b.t.Errorf("%s, %s: too little contrast: %s", view, scheme, e)
			}
		}
	}
	if background["light"] == background["dark"] {
		b.t.Errorf("dark and light are both %s", background["light"])
	}
	b.scheme("light")
}

// scheme has the system be light or dark.
func (b *tab) scheme(scheme string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		return err
	}))
}

// picture writes what the page looks like: a view, whose name begins the file's, in light or dark.
func (b *tab) picture(name, scheme string) {
	b.t.Helper()
	b.scheme(scheme)
	view, _, _ := strings.Cut(name, "-")
	b.do(js(`location.hash = "#/` + view + `"; window.scrollTo(0, 0); document.activeElement.blur()`))
	// Two news, so that everything is drawn in these colours.
	b.do(js(`window.seen = document.querySelector("#subtitle").textContent`))
	b.until("news", `document.querySelector("#subtitle").textContent !== window.seen || !/up \d+ s/.test(window.seen)`)
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*pictures, name), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.scheme("light")
}

// TestLogin: the browser is asked for a name and a password, and shows what that user may
// see.
func TestLogin(t *testing.T) {
	b := open(t)
	_, nodes := start(t, 1, "--user", "default off", "--user", "viewer on >looks +info +acl|whoami")
	n := nodes[0]
	eventually(t, "the node asks who is there", func() error {
		r, err := http.Get(n.page)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if r.StatusCode != http.StatusUnauthorized {
			return fmt.Errorf("status %d", r.StatusCode)
		}
		return nil
	})
	at, err := url.Parse(n.page)
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.UserPassword("viewer", "looks")
	b.do(chromedp.Navigate(at.String()))
	b.until("the page is live", `document.querySelector("#live")?.textContent === "live"`)
	b.until("it says who looks", `document.querySelector("#who").textContent === "as user viewer"`)
	b.until("it says what may not be seen", `document.querySelector("#members").textContent.includes("NOPERM")`)
}

// TestEviction: the page of a node whose memory is full says how much there is, by which
// policy keys go, and that they do; and in words when none may go and writes are refused.
func TestEviction(t *testing.T) {
	b := open(t)
	c, nodes := start(t, 1, "--maxmemory", "1mb", "--maxmemory-policy", "allkeys-lru")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	n := nodes[0]
	set := func(from, to int) (last error) {
		for i := from; i < to; i++ {
			if _, err := cluster.Ask(n.Addr, "SET", fmt.Sprint("key:", i), strings.Repeat("x", 100<<10)); err != nil {
				last = err
			}
		}
		return last
	}
	if err := set(0, 30); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"key:29", "key:29", "key:29", "key:0"} { // three are there, one is not
		if _, err := cluster.Ask(n.Addr, "GET", key); err != nil {
			t.Fatal(err)
		}
	}
	b.do(chromedp.Navigate(n.page))
	b.until("the page is live", `document.querySelector("#live").textContent === "live"`)
	tile := func(field string) string {
		return fmt.Sprintf(`document.querySelector('#tiles [data-field="%s"]')`, field)
	}
	b.until("keys were evicted", tile("evicted_keys")+`?.dataset.value >= 15 && `+tile("evicted_keys")+`.nextSibling.textContent.includes("allkeys-lru")`)
	b.until("maxmemory is there", tile("used_memory")+`.nextSibling.textContent.includes(" of 1.00 MB")`)
	b.until("the hit ratio is there", tile("keyspace_hits")+`.textContent === "75.0 %"`)
	b.equalsInfo(n)

	if _, err := cluster.Ask(n.Addr, "CONFIG", "SET", "maxmemory-policy", "noeviction"); err != nil {
		t.Fatal(err)
	}
	if err := set(30, 50); err == nil || !strings.HasPrefix(err.Error(), "OOM ") {
		t.Fatalf("a full node says %v", err)
	}
	b.until("the page says that writes are refused", `document.querySelector("#alerts .bad")?.textContent.startsWith("Writes that need memory are refused: ")`)
}
