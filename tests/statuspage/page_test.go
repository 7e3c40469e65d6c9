package statuspage

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// status is /api/v1/status, as far as the page shows it.
type status struct {
	Identity, Version, State, Since string
	Topics                          []struct {
		Name, ID, State, Since, Start                        string
		Keys, AppliedRecords, KeylessRecords, InvalidRecords int64
		SplitKeys, SplitKeysDeleted                          int64
		Rebuilds                                             map[string]int64
		Partitions                                           []struct {
			Partition, Position, End, HighWatermark, LogStart, Lag int64
			LagSeconds                                             float64
		}
	}
	Memory struct{ ResidentIndex, BlockCache, Memtables, Go int64 }
	Rates  *struct{ CommandsPerSecond float64 }
}

func statusOf(t *testing.T, d *daemontest.Daemon) (s status) {
	t.Helper()
	code, body, err := d.Get("/api/v1/status")
	if err == nil && code == 200 {
		err = json.Unmarshal(body, &s)
	}
	if err != nil || code != 200 {
		t.Fatalf("/api/v1/status: %d, %v: %s", code, err, body)
	}
	return s
}

// want are the cells that follow from a status, but for those that change by themselves from one moment to the next.
func (s status) want() map[string]string {
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	w := map[string]string{"state": s.State, "since": s.Since[:19] + "Z", "reason": "every topic is loaded and followed"}
	var lag, keys, invalid, rebuilds int64
	for i, t := range s.Topics {
		id := fmt.Sprintf("t%d.", i)
		for name, v := range map[string]int64{"keys": t.Keys, "applied": t.AppliedRecords, "keyless": t.KeylessRecords, "invalid": t.InvalidRecords, "split": t.SplitKeys, "splitDeleted": t.SplitKeysDeleted} {
			w[id+name] = n(v)
		}
		w[id+"state"], w[id+"since"], w[id+"id"], w[id+"serving"] = t.State, t.Since[:19]+"Z", t.ID, "answered"
		for _, p := range t.Partitions {
			id := fmt.Sprintf("t%d.p%d.", i, p.Partition)
			for name, v := range map[string]int64{"position": p.Position, "end": p.End, "highWatermark": p.HighWatermark, "logStart": p.LogStart, "lag": p.Lag} {
				w[id+name] = n(v)
			}
			w[id+"lagSeconds"] = strconv.FormatFloat(p.LagSeconds, 'f', 1, 64)
			lag += p.Lag
		}
		keys, invalid = keys+t.Keys, invalid+t.InvalidRecords
		for reason, v := range t.Rebuilds {
			w[id+"rebuilds."+reason] = n(v)
			rebuilds += v
		}
	}
	w["lag"], w["lagSeconds"], w["keys"], w["invalid"], w["rebuilds"] = n(lag), "0.0", n(keys), n(invalid), n(rebuilds)
	return w
}

// differ is where the page shows something else than the status says.
func differ(cells map[string]string, s status) (where []string) {
	for name, want := range s.want() {
		if got := plain(cells[name]); got != want {
			where = append(where, fmt.Sprintf("%s is %q, want %q", name, got, want))
		}
	}
	slices.Sort(where)
	return where
}

// serve runs a daemon on a topic of a real Kafka with records, one of which a rule refuses.
func serve(t *testing.T, args ...string) (d *daemontest.Daemon, topic string) {
	t.Helper()
	c := kafkatest.Shared(t)
	topic = c.NewTopic(t, 3, map[string]string{"cleanup.policy": "compact"})
	var records []*kgo.Record
	for i := range 1500 {
		records = append(records, &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "key-%d", i), Value: fmt.Appendf(nil, `{"n":%d}`, i)})
	}
	records = append(records, &kgo.Record{Topic: topic, Key: []byte("refused"), Value: []byte("[]")},
		&kgo.Record{Topic: topic, Key: []byte("user/1"), Value: []byte(`{"name":"Ann <b>","tags":["a","b"],"address":{"city":"Uppsala","zip":null},"active":true,"score":12.5}`),
			Headers: []kgo.RecordHeader{{Key: "trace-id", Value: []byte("4bf92f3577b34da6")}, {Key: "raw", Value: []byte{0xff, 0}}}})
	c.Produce(t, records...)
	file := filepath.Join(t.TempDir(), "config.yaml")
	config := fmt.Sprintf("version: 1\ntopics:\n  - name: %s\n    validate:\n      read: {schema: '{\"type\": \"object\"}'}\n", topic)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	d = daemontest.Start(t, append([]string{"--config", file, "--kafka-bootstrap", c.Addr(), "--identity", "test." + topic, "--read-only=false"}, args...)...)
	d.WaitReady()
	return d, topic
}

// TestPageShowsTheStatus: the first paint, without a script, and the page that a script keeps up to date both show what /api/v1/status says, while it
// changes; nothing is asked of another host, nothing is said on the console, and axe-core finds nothing.
func TestPageShowsTheStatus(t *testing.T) {
	d, _ := serve(t)
	home := "http://" + d.AdminAddr + "/"

	still := newTab(t, screen{width: 1240, height: 900, noScript: true})
	d.Await("a status with rates, and the page's first paint, agree", func() bool { return statusOf(t, d).Rates != nil })
	still.open(home)
	var text string
	still.do("read the page", chromedp.Text("body", &text, chromedp.ByQuery))
	s := statusOf(t, d)
	for _, want := range []string{s.Identity, s.Version, "Ready", s.Topics[0].Name, s.Topics[0].ID, "Resident index", "Block cache", "Memtables", "The plots of the last fifteen minutes need JavaScript"} {
		if !strings.Contains(text, want) {
			t.Errorf("without a script the page does not say %q", want)
		}
	}
	if where := differ(still.cells(), s); len(where) > 0 {
		t.Errorf("the first paint and /api/v1/status differ: %q", where)
	}
	if n := eval[int](still, "document.querySelectorAll('canvas').length"); n != 0 {
		t.Errorf("without a script there are %d plots: the script has run", n)
	}
	still.quietAndAtHome(d.AdminAddr)

	if s.Topics[0].InvalidRecords != 1 || s.Topics[0].Keys != 1501 {
		t.Errorf("the status has %d invalid records and %d keys", s.Topics[0].InvalidRecords, s.Topics[0].Keys)
	}

	live := newTab(t, desk)
	live.open(home)
	live.await("the page is live", `document.getElementById('connection').textContent === 'live'`)
	if where := differ(live.cells(), s); len(where) > 0 {
		t.Errorf("the page and /api/v1/status differ: %q", where)
	}
	if title := eval[string](live, "document.title"); title != s.Identity+" · kafka-cache" {
		t.Errorf("the title is %q", title)
	}
	// What changes is shown without loading the page again.
	live.do("mark the page", chromedp.Evaluate("window.marked = true", nil))
	client := d.Client(0)
	for i := range 20 {
		if err := client.Set(t.Context(), fmt.Sprintf("new-%d", i), `{}`, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	after := statusOf(t, d)
	if after.Topics[0].AppliedRecords != s.Topics[0].AppliedRecords+20 {
		t.Fatalf("20 writes were applied, and the status says %d after %d", after.Topics[0].AppliedRecords, s.Topics[0].AppliedRecords)
	}
	live.await("the writes are shown", fmt.Sprintf(`document.querySelector('[data-cell="t0.keys"]').textContent.replace(/\u202f/g, '') === '%d'`, after.Topics[0].Keys))
	if where := differ(live.cells(), statusOf(t, d)); len(where) > 0 {
		t.Errorf("after writes the page and /api/v1/status differ: %q", where)
	}
	// Memory changes by itself: what is shown is what the status says, or will.
	d.Await("the page shows the memory of the status", func() bool {
		m, cells := statusOf(t, d).Memory, live.cells()
		if m.ResidentIndex == 0 || float64(m.Memtables) != d.Metric("kafka_cache_pebble_memtable_bytes") || float64(m.BlockCache) != d.Metric("kafka_cache_pebble_block_cache_bytes") {
			return false
		}
		return cells["residentIndex"] == sizeText(m.ResidentIndex) && cells["blockCache"] == sizeText(m.BlockCache) && cells["memtables"] == sizeText(m.Memtables) &&
			cells["go"] != "" && len(cells["go"]) == len(sizeText(m.Go)) // which changes all the time
	})
	live.await("the commands are plotted", `[...document.querySelectorAll('figure')].some(f => f.dataset.plot === 'commands/' && +f.querySelector('.plot').dataset.most > 0)`)
	live.await("latencies are plotted", `[...document.querySelectorAll('figure')].some(f => f.dataset.plot === 'latency/' && +f.querySelector('.plot').dataset.most > 0)`)
	if !eval[bool](live, "window.marked") {
		t.Error("the page was loaded again")
	}
	if n := eval[int](live, "document.querySelectorAll('figure canvas').length"); n != 6 {
		t.Errorf("%d plots are drawn, want 6", n)
	}
	if found := live.violations(); len(found) > 0 {
		t.Errorf("axe-core finds %q", found)
	}
	live.quietAndAtHome(d.AdminAddr)
}

// sizeText is how the page shows bytes.
func sizeText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// TestLooksFine: in every form in which people see it the page is accessible, and nothing is wider than the screen.
func TestLooksFine(t *testing.T) {
	d, topic := serve(t)
	for name, s := range map[string]screen{"desk": desk, "dark": {width: 1240, height: 900, dark: true}, "phone": {width: 390, height: 844}, "small": {width: 320, height: 640, dark: true}} {
		t.Run(name, func(t *testing.T) {
			b := newTab(t, s)
			b.open("http://" + d.AdminAddr + "/?topic=" + topic + "&key=user/1")
			b.await("the page is live", `document.getElementById('connection').textContent === 'live'`)
			b.await("memory is plotted", `[...document.querySelectorAll('figure')].some(f => f.dataset.plot === 'memory/' && f.querySelector('.plot').dataset.newest > 0)`)
			b.do("open the configuration", chromedp.Evaluate("document.querySelector('#configuration details').open = true", nil))
			if wide := eval[int](b, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); wide > 0 {
				t.Errorf("the page is %d pixels wider than the screen", wide)
			}
			if dark := eval[string](b, "getComputedStyle(document.body).backgroundColor"); (dark != "rgb(245, 246, 248)") != s.dark {
				t.Errorf("the background is %s", dark)
			}
			if found := b.violations(); len(found) > 0 {
				t.Errorf("axe-core finds %q", found)
			}
			b.quietAndAtHome(d.AdminAddr)
		})
	}
}

// A page on which something is wrong is found out, so that silence means something.
func TestAxeAndTheConsoleFindFaults(t *testing.T) {
	d, _ := serve(t)
	b := newTab(t, desk)
	b.open("http://" + d.AdminAddr + "/")
	b.do("spoil the page", chromedp.Evaluate(`document.querySelector('label').replaceWith(document.querySelector('select'));
		const i = document.createElement('img'); i.src = 'http://192.0.2.1/x.png'; document.body.append(i); true`, nil))
	b.await("the policy has kept the picture out", `performance.now() > 0 && document.images[0].complete`)
	if found := strings.Join(b.violations(), "\n"); !strings.Contains(found, "image-alt") || !strings.Contains(found, "select-name") {
		t.Errorf("of a picture without a text and a field without a name axe-core finds only %s", found)
	}
	if said := strings.Join(b.console(), "\n"); !strings.Contains(said, "Content Security Policy") {
		t.Errorf("of a picture at another host the console says %q", said)
	}
}

// TestPageSaysThatItHearsNothing: an instance that hangs ends no connection. The page says within seconds that what it shows is old, and follows again afterwards.
func TestPageSaysThatItHearsNothing(t *testing.T) {
	d := daemontest.Start(t, "--dev")
	d.WaitReady()
	b := newTab(t, desk)
	b.open("http://" + d.AdminAddr + "/")
	const connection = `document.getElementById('connection').textContent`
	b.await("the page is live", connection+` === 'live'`)
	asOf := eval[string](b, `document.getElementById('as-of').textContent`)
	b.await("events come", `document.getElementById('as-of').textContent > '`+asOf+`'`)
	if err := syscall.Kill(d.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.await("the page says so", connection+` === 'no connection to the instance: what is shown is of ' + document.getElementById('as-of').textContent`)
	if found := b.violations(); len(found) > 0 {
		t.Errorf("axe-core finds %q", found)
	}
	if err := syscall.Kill(d.PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	stopped := eval[string](b, `document.getElementById('as-of').textContent`)
	b.await("the page follows again", connection+` === 'live' && document.getElementById('as-of').textContent > '`+stopped+`'`)
}

// TestPageShowsPeers: of another instance the page shows who it is and its positions.
func TestPageShowsPeers(t *testing.T) {
	other, topic := serve(t)
	d := daemontest.Start(t, "--kafka-bootstrap", kafkatest.Shared(t).Addr(), "--topic", topic, "--identity", "beside."+topic, "--peers", other.RESPAddr)
	d.WaitReady()
	var want []string
	for _, p := range statusOf(t, other).Topics[0].Partitions {
		want = append(want, fmt.Sprintf("%d:%d", p.Partition, p.Position))
	}
	b := newTab(t, desk)
	b.open("http://" + d.AdminAddr + "/")
	b.await("the peer is connected", `document.querySelector('[data-cell="peer0.state"]').textContent === 'connected'`)
	cells := b.cells()
	for name, want := range map[string]string{"peers.connected": "1", "peer0.addr": other.RESPAddr, "peer0.identity": "test." + topic, "peer0.positions": topic + " " + strings.Join(want, " ")} {
		if cells[name] != want {
			t.Errorf("%s is %q, want %q", name, cells[name], want)
		}
	}
	if found := b.violations(); len(found) > 0 {
		t.Errorf("axe-core finds %q", found)
	}
	b.quietAndAtHome(d.AdminAddr)
}

// TestKeyboard: Tab reaches whatever can be used, in the order of the page, and shows where it is.
func TestKeyboard(t *testing.T) {
	d, topic := serve(t)
	b := newTab(t, desk)
	b.open("http://" + d.AdminAddr + "/?topic=" + topic + "&key=user/1")
	b.await("the page is live", `document.getElementById('connection').textContent === 'live'`)
	type element struct{ Name, Outline string }
	var reached []string
	for len(reached) < 100 {
		b.do("press Tab", chromedp.KeyEvent(kb.Tab))
		at := eval[element](b, `(() => {
			const e = document.activeElement, s = getComputedStyle(e);
			return {Name: e === document.body ? '' : e.tagName + ' ' + (e.getAttribute('href') || e.getAttribute('aria-label') || e.name || e.textContent.trim()), Outline: s.outlineStyle + ' ' + s.outlineWidth};
		})()`)
		if at.Name == "" {
			break
		}
		if !strings.HasPrefix(at.Outline, "solid 2px") {
			t.Errorf("where %s has the focus is not seen: its outline is %s", at.Name, at.Outline)
		}
		reached = append(reached, at.Name)
	}
	want := []string{"A #topics", "A #overview", "A #topics", "A #lookup", "A #configuration", "DIV Partitions of " + topic, "A api/v1/invalid?topic=" + topic,
		"SELECT topic", "INPUT key", "BUTTON GET"}
	if len(reached) < len(want)+4 || !slices.Equal(reached[:len(want)], want) {
		t.Errorf("Tab reaches %q, want first %q", reached, want)
	}
	all := eval[int](b, `[...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')].filter(e => e.checkVisibility()).length`)
	if len(reached) != all {
		t.Errorf("Tab reaches %d of %d elements: %q", len(reached), all, reached)
	}
	// The first is the link that skips what is above the topics.
	b.do("follow the first link", chromedp.Evaluate("document.activeElement.blur(); document.querySelector('.skip').focus()", nil), chromedp.KeyEvent("\r"))
	b.await("the topics are in view", `location.hash === '#topics' && document.getElementById('topics').getBoundingClientRect().top < 200`)
}

// TestLookup: a key is looked up with the keyboard alone, and a value of JSON is a tree.
func TestLookup(t *testing.T) {
	d, topic := serve(t)
	for _, noScript := range []bool{false, true} {
		b := newTab(t, screen{width: 1240, height: 900, noScript: noScript})
		b.open("http://" + d.AdminAddr + "/")
		b.do("look up a key", chromedp.Focus(`input[name=key]`), chromedp.KeyEvent("user/1\r"), chromedp.WaitVisible(".tree", chromedp.ByQuery))
		var found, tree string
		b.do("read what was found", chromedp.Text(".found", &found, chromedp.ByQuery), chromedp.Text(".tree", &tree, chromedp.ByQuery))
		for _, want := range []string{"Partition", "Offset", "Timestamp", "Header trace-id", "4bf92f3577b34da6", "Header raw", "base64 /wA="} {
			if !strings.Contains(found, want) {
				t.Errorf("what was found does not say %q: %s", want, found)
			}
		}
		for _, want := range []string{`name "Ann <b>"`, "tags array of 2", `1 "b"`, "address object of 2", `city "Uppsala"`, "zip null", "active true", "score 12.5"} {
			if !strings.Contains(tree, want) {
				t.Errorf("the tree does not say %q: %s", want, tree)
			}
		}
		b.quietAndAtHome(d.AdminAddr)
	}
	code, body, err := d.Get("/api/v1/key?topic=" + topic + "&key=user/1")
	var got struct {
		Partition, Offset int64
		Value             struct{ Name string }
		Timestamp         string
	}
	if err == nil {
		err = json.Unmarshal(body, &got)
	}
	meta, metaErr := d.Client(0).Do(t.Context(), "KAFKA.META", "user/1").Result()
	if err != nil || metaErr != nil || code != 200 || got.Value.Name != "Ann <b>" || !strings.Contains(fmt.Sprint(meta), fmt.Sprint(got.Offset)) {
		t.Errorf("%d, %v, %v: %s; KAFKA.META says %v", code, err, metaErr, body, meta)
	}
}
