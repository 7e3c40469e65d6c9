package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// smallDisk is a file system of its own, of so many bytes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", size)); err != nil {
		if errors.Is(err, syscall.EPERM) {
			t.Skipf("a small file system cannot be mounted: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all the room that a file system has, in one file.
func fill(t *testing.T, dir string) (ballast string) {
	t.Helper()
	ballast = filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for piece := make([]byte, 64<<10); ; {
		if _, err := io.Copy(f, bytes.NewReader(piece)); errors.Is(err, syscall.ENOSPC) {
			return ballast
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// incompressible is a value of n bytes of text.
func incompressible(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = ' ' + byte(r.IntN(95))
	}
	return string(b)
}

// TestFullDisk fills the file system of a data directory under a running instance, while records come and clients write: reads go on, the instance says what is wrong, and when
// there is room again it goes on by itself with everything that the log has.
func TestFullDisk(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 2, nil)
	r := random(t)
	want := map[string]string{}
	records := func(n int) (all []*kgo.Record) {
		for range n {
			key, value := fmt.Sprint("key-", r.IntN(2000)), incompressible(r, 10_000)
			want[key] = value
			all = append(all, record(topic, key, value))
		}
		return all
	}
	c.Produce(t, records(200)...)
	disk := smallDisk(t, 64<<20)
	dir := filepath.Join(disk, "data")
	d := serve(t, c, topic, "--data-dir", dir, "--read-only=false")
	d.WaitReady()
	d.Await("what is loaded is durable", func() bool { return d.Status().Topics[0].Durable })
	client := d.Client(0)
	if err := client.Set(t.Context(), "before", "full", 0).Err(); err != nil {
		t.Fatal(err)
	}
	want["before"] = "full"

	ballast := fill(t, disk)
	for range 8 {
		c.Produce(t, records(500)...)
	}
	d.Await("the status says that the disk is full", func() bool {
		s := d.Status().Topics[0]
		return s.State == "Stale" && strings.Contains(s.Reason, "no space left")
	})
	d.WaitLog(regexp.MustCompile(`level=(WARN|ERROR).*no space left`))
	wantGet(t, client, "before", "full")
	// What is written now is in the log, and not here yet.
	if err := client.Set(t.Context(), "during", "full", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "PENDING") {
		t.Errorf("SET on a full disk: %v", err)
	}
	want["during"] = "full"
	d.Await("the metric of the alert shows it", func() bool { return d.Metric("kafka_cache_disk_near_limit") == 1 })
	if code, _, err := d.Get("/readyz"); err != nil || code != http.StatusOK {
		t.Errorf("/readyz of an instance that answers reads: %d, %v", code, err)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, c, d, topic)
	d.Await("the state is Ready", func() bool { s := d.Status().Topics[0]; return s.State == "Ready" && s.Reason == "" })
	wantContents(t, client, want)

	d.Kill()
	d = serve(t, c, topic, "--data-dir", dir)
	d.WaitReady()
	wantContents(t, d.Client(0), want)
	if n := d.Metric("kafka_cache_disk_near_limit"); n != 0 {
		t.Errorf("the metric of the alert is %v, with room", n)
	}
}

// TestStartOnAFullDisk: an instance that was killed is started before there is room again. It is alive, says why it does not load, and goes on by itself.
func TestStartOnAFullDisk(t *testing.T) {
	c := kafkatest.Shared(t)
	for _, test := range []struct{ name, state string }{{"with a checkpoint", "loaded"}, {"without", ""}} {
		t.Run(test.name, func(t *testing.T) {
			topic := c.NewTopic(t, 1, nil)
			c.Produce(t, record(topic, "a", "1"), record(topic, "b", "2"))
			want := map[string]string{"a": "1", "b": "2"}
			disk := smallDisk(t, 16<<20)
			dir := filepath.Join(disk, "data")
			if test.state == "loaded" {
				d := serve(t, c, topic, "--data-dir", dir)
				d.WaitReady()
				d.Await("what is loaded is durable", func() bool { return d.Status().Topics[0].Durable })
				d.Kill()
			} else if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			ballast := fill(t, disk)
			c.Produce(t, record(topic, "b", "3"))
			want["b"] = "3"
			d := serve(t, c, topic, "--data-dir", dir)
			d.WaitLive()
			d.WaitLog(regexp.MustCompile(`level=(WARN|ERROR).*no space left`))
			d.Await("the status says that the disk is full", func() bool { return strings.Contains(d.Status().Topics[0].Reason, "no space left") })
			if n := d.Metric("kafka_cache_disk_near_limit"); n != 1 {
				t.Errorf("the metric of the alert is %v", n)
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			d.WaitReady()
			wantContents(t, d.Client(0), want)
		})
	}
}
