package loadgen

import (
	"context"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/internal/chromium"
)

// opened is what a browser made of a page.
type opened struct {
	console []string // what was said on its console
	dom     string
	colors  map[string]int // pixels of each colour, "2266bb"
}

// browser opens files without reaching any host.
type browser struct{ program, profile string }

func newBrowser(t *testing.T) browser { return browser{chromium.Path(t), t.TempDir()} }

// open opens a file, and with picture looks at it too.
func (b browser) open(t *testing.T, file string, picture bool) opened {
	t.Helper()
	browse := func(args ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), daemontest.Patience)
		defer cancel()
		// Root has no sandbox; what is opened is this test's own.
		cmd := exec.CommandContext(ctx, b.program, append([]string{
			"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run",
			"--host-resolver-rules=MAP * ~NOTFOUND", "--user-data-dir=" + b.profile, "--enable-logging=stderr", "--v=0", "--window-size=1240,2000",
		}, args...)...)
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("chromium: %v\n%s", err, stderr.String())
		}
		return stdout.String() + "\x00" + stderr.String()
	}
	var o opened
	dom, said, _ := strings.Cut(browse("--dump-dom", "file://"+file), "\x00")
	o.dom = dom
	for _, m := range regexp.MustCompile(`CONSOLE[^\]]*\] (.*)`).FindAllStringSubmatch(said, -1) {
		o.console = append(o.console, m[1])
	}
	if !picture {
		return o
	}
	shot := filepath.Join(b.profile, "page.png")
	browse("--screenshot="+shot, "file://"+file)
	f, err := os.Open(shot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	o.colors = map[string]int{}
	const hex = "0123456789abcdef"
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			var c [6]byte
			red, green, blue, _ := img.At(x, y).RGBA()
			for i, v := range []uint32{red >> 8, green >> 8, blue >> 8} {
				c[2*i], c[2*i+1] = hex[v>>4], hex[v&15]
			}
			o.colors[string(c[:])]++
		}
	}
	return o
}

// TestReportOpens: the pages of a run and of a propagation open from their files in a real browser that has no network, draw their
// lines, and say nothing on the console. A page that asks for something is found out, so that the silence means something.
func TestReportOpens(t *testing.T) {
	d := daemontest.Start(t, "--dev")
	d.WaitReady()
	chrome, dir := newBrowser(t), t.TempDir()
	runPage, propagatePage := filepath.Join(dir, "run.html"), filepath.Join(dir, "propagate.html")
	execute(t, with("seed", "--addr", d.RESPAddr)...).want(t, 0)
	execute(t, with("run", "--addr", d.RESPAddr, "--rate", "300", "--duration", "4s", "--connections", "6", "--html", runPage, "--slo", "errors=0")...).want(t, 0)
	execute(t, with("propagate", "--addr", d.RESPAddr, "--rate", "50", "--duration", "4s", "--html", propagatePage)...).want(t, 0)
	for file, plots := range map[string]int{runPage: 3, propagatePage: 2} {
		o := chrome.open(t, file, true)
		if len(o.console) > 0 {
			t.Errorf("%s: the console says %q", file, o.console)
		}
		if n := strings.Count(o.dom, "<polyline"); n < plots || strings.Count(o.dom, "<svg") < plots {
			t.Errorf("%s: %d lines in %d plots", file, n, strings.Count(o.dom, "<svg"))
		}
		if o.colors["2266bb"] < 100 { // the first line of every plot
			t.Errorf("%s: %d pixels have the colour of the first line", file, o.colors["2266bb"])
		}
	}

	b, err := os.ReadFile(runPage)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad.html")
	if err := os.WriteFile(bad, []byte(strings.Replace(string(b), "</body>", `<img src="http://127.0.0.1:1/x.png"></body>`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if o := chrome.open(t, bad, false); len(o.console) == 0 || !strings.Contains(o.console[0], "Content Security Policy") {
		t.Errorf("of a page that asks for a picture the console says %q", o.console)
	}
}
