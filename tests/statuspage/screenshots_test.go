package statuspage

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

var (
	screenshots   = flag.String("screenshots", "", "directory that TestScreenshots writes the pictures of the documents to")
	screenshotsOf = flag.Duration("screenshots-of", 4*time.Minute, "how long the instance runs before they are taken")
)

// TestScreenshots writes the pictures of docs/status-page.md (make screenshots): of an instance with a peer and a load, which was behind for a while since
// a record that a rule refuses had stopped a topic.
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		t.Skip("they are written with -screenshots DIRECTORY")
	}
	c := kafkatest.Shared(t)
	c.CreateTopic(t, "users", 3, map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "-1"})
	c.CreateTopic(t, "organizations", 1, map[string]string{"cleanup.policy": "compact"})
	user := func(i int) *kgo.Record {
		return &kgo.Record{Topic: "users", Key: fmt.Appendf(nil, "user-%04d", i), Value: fmt.Appendf(nil, `{"id":"user-%04d","displayName":"Ann Andersson","email":"ann@example.com","groups":["admins","everybody"],"address":{"city":"Uppsala","zip":null},"active":true,"logins":%d}`, i, i*7),
			Headers: []kgo.RecordHeader{{Key: "traceparent", Value: []byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")}}}
	}
	var records []*kgo.Record
	for i := range 20_000 {
		records = append(records, user(i))
	}
	for i := range 300 {
		records = append(records, &kgo.Record{Topic: "organizations", Key: fmt.Appendf(nil, "org-%d", i), Value: []byte(`{"name":"Example"}`)})
	}
	c.Produce(t, records...)
	file := filepath.Join(t.TempDir(), "config.yaml")
	config := "version: 1\nread-only: false\ntopics:\n  - name: users\n    validate:\n      read: {schema: '{\"type\": \"object\"}', on-invalid: stop}\n  - name: organizations\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	peer := daemontest.Start(t, "--config", file, "--kafka-bootstrap", c.Addr(), "--identity", "shop.cache-1")
	d := daemontest.Start(t, "--config", file, "--kafka-bootstrap", c.Addr(), "--identity", "shop.cache-0", "--peers", peer.RESPAddr, "--memory-limit", "512Mi")
	d.WaitReady()
	peer.WaitReady()

	ctx, cancel := context.WithTimeout(t.Context(), *screenshotsOf)
	defer cancel()
	var load sync.WaitGroup
	load.Go(func() { reads(ctx, d) })
	behind(ctx, t, c, d, user)
	load.Wait()

	home := "http://" + d.AdminAddr + "/"
	live := func(b *tab, address string) {
		b.open(address)
		b.await("the page is live", `document.getElementById('connection').textContent === 'live'`)
		b.await("memory is plotted", `[...document.querySelectorAll('figure')].some(f => f.dataset.plot === 'memory/' && f.querySelector('.plot').dataset.newest > 0)`)
	}
	b := newTab(t, desk)
	live(b, home)
	b.picture(t, "status-page.png", 0, 0, 1240, 1530)
	b = newTab(t, screen{width: 390, height: 844, dark: true})
	live(b, home+"#topics")
	top := eval[float64](b, `document.getElementById('topics').getBoundingClientRect().top + scrollY`)
	b.picture(t, "status-page-phone.png", 0, top-10, 390, 900)
	b = newTab(t, desk)
	live(b, home+"?topic=users&key=user-0042")
	at := eval[[]float64](b, `(() => { const r = document.getElementById('lookup').getBoundingClientRect(); return [r.left + scrollX, r.top + scrollY, r.width, r.height]; })()`)
	b.picture(t, "status-page-key.png", at[0], at[1], at[2], at[3])
}

// reads asks for keys, sometimes more and sometimes less of them, until ctx ends.
func reads(ctx context.Context, d *daemontest.Daemon) {
	client := d.Client(0)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		pipe := client.Pipeline()
		for j := range int(40 + 30*math.Sin(float64(i)/150)) {
			pipe.Get(ctx, fmt.Sprintf("user-%04d", (i*97+j*31)%20_000))
		}
		_, _ = pipe.Exec(ctx) // what it answers is not what this is for
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// behind writes until ctx ends. A quarter of the time one of the records stops the topic.
func behind(ctx context.Context, t *testing.T, c *kafkatest.Cluster, d *daemontest.Daemon, user func(int) *kgo.Record) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	began, stopped, gone := time.Now(), false, false
	for i := 0; ; i++ {
		var records []*kgo.Record
		for j := range 25 {
			records = append(records, user((i*25+j)%20_000))
		}
		past := time.Since(began)
		switch {
		case !stopped && past > *screenshotsOf/4:
			stopped = true
			records = append(records, &kgo.Record{Topic: "users", Key: []byte("user-0007"), Value: []byte(`"not an object"`)})
		case stopped && !gone && past > *screenshotsOf/2:
			gone = true
			var partition int32
			var offset int64
			reason := d.Status().Topics[0].Reason
			if _, err := fmt.Sscanf(reason[strings.Index(reason, "offset "):], "offset %d of partition %d", &offset, &partition); err != nil {
				t.Fatalf("%v: %s", err, reason)
			}
			c.DeleteRecords(t, "users", partition, offset+1)
		}
		c.Produce(t, records...)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// picture writes a part of the page, with no more than 256 colours, so that it is small.
func (b *tab) picture(t *testing.T, name string, x, y, width, height float64) {
	t.Helper()
	var shot []byte
	b.do("take a picture", chromedp.ActionFunc(func(ctx context.Context) (err error) {
		shot, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).WithClip(&page.Viewport{X: x, Y: y, Width: width, Height: height, Scale: 1}).Do(ctx)
		return err
	}))
	full, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, reduced(full)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(*screenshots, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*screenshots, name), out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d bytes", name, out.Len())
}

// reduced has the 256 colours that are there most often.
func reduced(full image.Image) image.Image {
	bounds := full.Bounds()
	often := map[color.Color]int{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			often[full.At(x, y)]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(often), func(a, b color.Color) int { return cmp.Compare(often[b], often[a]) })
	if len(colors) > 256 {
		colors = colors[:256]
	}
	small := image.NewPaletted(bounds, color.Palette(colors))
	nearest := map[color.Color]uint8{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := full.At(x, y)
			n, known := nearest[c]
			if !known {
				n = uint8(small.Palette.Index(c))
				nearest[c] = n
			}
			small.SetColorIndex(x, y, n)
		}
	}
	return small
}
