package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/raftredis/raftredis/integration/cluster"
)

// patience is how long a condition may take that should hold at once.
const patience = 60 * time.Second

// binary returns the path of raftredis. INTEGRATION_BINARY names one that is there already.
func binary(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("INTEGRATION_BINARY"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "raftredis")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/raftredis")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// node is one of a cluster, and where its page is.
type node struct {
	*cluster.Node
	page string
}

// start starts a cluster whose nodes have pages.
func start(t *testing.T, n int, args ...string) (*cluster.Cluster, []node) {
	t.Helper()
	c, err := cluster.New(binary(t), t.TempDir(), n, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var all []node
	for _, n := range c.Nodes {
		at, err := cluster.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		n.Args = append(n.Args, "--http", at)
		all = append(all, node{n, "http://" + at + "/"})
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, all
}

// tab is one tab of a browser. What goes wrong in it fails the test.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	expect string // a part of complaints that are none
}

// open starts Debian's chromium, or whichever CHROMIUM names.
func open(t *testing.T) *tab {
	t.Helper()
	name := os.Getenv("CHROMIUM")
	if name == "" {
		name = "chromium"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("INTEGRATION_CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WindowSize(1320, 900),
		chromedp.Flag("font-render-hinting", "none"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(ctx)
	b := &tab{t: t, ctx: ctx}
	said := chromedp.Console(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for m, err := range said {
			if err != nil {
				return // the end
			}
			if m.Type == chromedp.ConsoleException || m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleWarning {
				b.complain(m.Text)
			}
		}
	}()
	t.Cleanup(func() {
		end()
		<-ended
	})
	return b
}

func (b *tab) complain(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.expect == "" || !strings.Contains(text, b.expect) {
		b.t.Errorf("the browser complains: %s", text)
	}
}

// expecting says which complaints are none from now on.
func (b *tab) expecting(part string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expect = part
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// eval evaluates an expression in the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// js has the page run a script.
func js(script string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Evaluate[any]("void (() => { "+script+" })()")(ctx, t)
		return chromedp.Void{}, err
	}
}

// until waits until an expression is true.
func (b *tab) until(what, expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	err := cluster.Until(ctx, func() error {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%s is not so", expression)
		}
		return nil
	})
	if err != nil {
		b.t.Fatalf("not in time: %s: %v\n%s", what, err, eval[string](b, "document.body.innerText"))
	}
}

// eventually waits until try succeeds.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := cluster.Until(ctx, try); err != nil {
		t.Fatalf("not in time: %s: %v", what, err)
	}
}
