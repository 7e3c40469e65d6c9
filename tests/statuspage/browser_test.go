package statuspage

import (
	"context"
	"fmt"
	"net/url"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/internal/chromium"
)

// tab is a page that is open. It notes every request that the browser makes and whatever is said on the console.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	requests []string
	said     []string
}

// screen is what a page is shown on.
type screen struct {
	width, height int64
	dark          bool
	noScript      bool
}

var desk = screen{width: 1240, height: 900}

// chrome is a browser that runs.
type chrome struct {
	ctx context.Context
	end context.CancelFunc
	err error // it does not run
}

// shared is the browser of this binary's tests, each of which has tabs without cookies, cache and log-ins of other tabs.
var shared struct {
	sync.Mutex
	*chrome // nil: nobody has asked yet
}

// browser starts the browser for the first test that asks.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := chromium.Path(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.chrome == nil {
		shared.chrome = launch(path)
	}
	if shared.err != nil {
		t.Fatalf("start the browser: %v", shared.err)
	}
	return shared.ctx
}

func launch(path string) *chrome {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, // root has none; what is opened is this test's own
		chromedp.DisableGPU, chromedp.WSURLReadTimeout(daemontest.Patience),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"))
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(allocator)
	ran := make(chan error, 1)
	go func() {
		// The kernel kills the browser when the thread ends that has started it, and threads end here with those who start daemons.
		goruntime.LockOSThread()
		ran <- chromedp.Run(ctx) // with a context that lasts: the process ends with it
		<-ctx.Done()
	}()
	return &chrome{ctx, end, <-ran}
}

// endBrowser returns when the browser has ended and its profile is removed.
func endBrowser() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.chrome == nil {
		return nil
	}
	defer shared.end()
	ctx, cancel := context.WithTimeout(shared.ctx, daemontest.Patience) // after which it is killed
	defer cancel()
	return chromedp.Cancel(ctx)
}

// newTab opens an empty page.
func newTab(t *testing.T, s screen) *tab {
	t.Helper()
	all := browser(t)
	// Not WithNewBrowserContext, which opens no window: a context without one can have no tab.
	toBrowser := cdp.WithExecutor(all, chromedp.FromContext(all).Browser)
	profile, err := target.CreateBrowserContext().Do(toBrowser)
	if err != nil {
		t.Fatalf("make a browser context: %v", err)
	}
	t.Cleanup(func() {
		if err := target.DisposeBrowserContext(profile).Do(toBrowser); err != nil {
			t.Errorf("end a browser context: %v", err)
		}
	})
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(profile).WithNewWindow(true).Do(toBrowser)
	if err != nil {
		t.Fatalf("open a window: %v", err)
	}
	whole, closeTab := chromedp.NewContext(all, chromedp.WithTargetID(id))
	t.Cleanup(closeTab)
	ctx, cancel := context.WithTimeout(whole, 3*daemontest.Patience)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, b.listen)
	scheme := "light"
	if s.dark {
		scheme = "dark"
	}
	b.do("open a tab", network.Enable(), log.Enable(), runtime.Enable(), chromedp.EmulateViewport(s.width, s.height),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		emulation.SetScriptExecutionDisabled(s.noScript))
	return b
}

func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *log.EventEntryAdded:
		b.said = append(b.said, fmt.Sprintf("%s: %s (%s)", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *runtime.EventExceptionThrown:
		b.said = append(b.said, e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		b.said = append(b.said, fmt.Sprintf("%s: %v", e.Type, e.Args))
	}
}

func (b *tab) do(what string, actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v; the console said %q", what, err, b.console())
	}
}

func (b *tab) open(address string) {
	b.t.Helper()
	b.do("open "+address, chromedp.Navigate(address))
}

// eval is the value of an expression.
func eval[T any](b *tab, expression string) (v T) {
	b.t.Helper()
	b.do("evaluate "+expression, chromedp.Evaluate(expression, &v))
	return v
}

// await waits until an expression is true.
func (b *tab) await(what, expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, daemontest.Patience)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Poll(expression, nil, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(0))); err != nil {
		b.t.Fatalf("it does not come to pass that %s: %v; the console said %q", what, err, b.console())
	}
}

func (b *tab) console() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.said...)
}

// quietAndAtHome checks that nothing was said on the console and that every request went to the daemon.
func (b *tab) quietAndAtHome(home string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.said) > 0 {
		b.t.Errorf("the console says %q", b.said)
	}
	for _, r := range b.requests {
		if u, err := url.Parse(r); err != nil || u.Host != home {
			b.t.Errorf("the page asks for %q (%v), which is not at %s", r, err, home)
		}
	}
	if len(b.requests) == 0 {
		b.t.Error("no request was seen, so none could be found out")
	}
}

// violations are what axe-core finds in the page as it is now, by all of its rules, best practices too.
func (b *tab) violations() []string {
	b.t.Helper()
	b.do("load axe-core", chromedp.Evaluate(string(node(b.t, "axe-core/axe.min.js"))+";true", nil))
	var found []string
	b.do("run axe-core", chromedp.Evaluate(`axe.run(document, {resultTypes: ['violations']}).then(r => {
		if (r.testEngine.name !== 'axe-core') throw new Error('this is not axe-core');
		return r.violations.flatMap(v => v.nodes.map(n => v.id + ': ' + n.target.join(' ') + ': ' + n.failureSummary));
	})`, &found, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return found
}

// cells are what the page shows, by name.
func (b *tab) cells() map[string]string {
	b.t.Helper()
	return eval[map[string]string](b, `Object.fromEntries([...document.querySelectorAll('[data-cell]')].map(e => [e.dataset.cell, e.textContent]))`)
}

// plain takes the thousands' separators out of a number.
func plain(s string) string { return strings.ReplaceAll(s, "\u202f", "") }
