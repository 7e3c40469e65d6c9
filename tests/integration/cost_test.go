//go:build linux && !race

package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/yolean/kafka-cache/core/position"
	"github.com/yolean/kafka-cache/tests/internal/crowd"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// resident is a process's resident memory in bytes.
func resident(t *testing.T, pid int) int64 { return processStatus(t, pid, "VmRSS") }

// processStatus is a number of bytes of /proc/PID/status.
func processStatus(t *testing.T, pid int, name string) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	var kB int64
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			if _, err := fmt.Sscanf(rest, "%d kB", &kB); err != nil {
				t.Fatal(err)
			}
		}
	}
	return kB << 10
}

// TestCostOfTenThousandWaits: 10,000 clients that wait for a record take less than 100 MB with their connections, and 10,000 idle
// connections less than 80. The daemon is one without the race detector.
func TestCostOfTenThousandWaits(t *testing.T) {
	const n = 10_000
	if err := crowd.RaiseFileLimit(n + 1000); err != nil {
		t.Fatal(err)
	}
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, nil)
	d := serve(t, c, topic, "--read-only=false", "--resp-maxclients", "11000")
	d.WaitReady()
	client := d.Client(0)
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	before := resident(t, d.PID())
	all, err := crowd.Gather(t.Context(), d.RESPAddr, n)
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	idle := resident(t, d.PID()) - before
	token, err := client.Do(t.Context(), "KAFKA.LASTWRITE").Text()
	if err != nil {
		t.Fatal(err)
	}
	at, err := position.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	next, _ := at.Next(0)
	if err := all.Send("KAFKA.WAIT " + position.OfRecord(at.Topic(), 0, next).String() + " 0"); err != nil {
		t.Fatal(err)
	}
	d.Await("all of them wait", func() bool {
		info, err := client.Info(t.Context(), "clients").Result()
		return err == nil && strings.Contains(info, fmt.Sprintf("\r\nblocked_clients:%d\r\n", n))
	})
	waiting := resident(t, d.PID()) - before
	t.Logf("idle: %.1f MB, waiting: %.1f MB", float64(idle)/1e6, float64(waiting)/1e6)
	if idle > 80e6 {
		t.Errorf("%d idle connections take %.1f MB", n, float64(idle)/1e6)
	}
	if waiting > 100e6 {
		t.Errorf("%d waits take %.1f MB with their connections", n, float64(waiting)/1e6)
	}
	if err := client.Set(t.Context(), "k", "w", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := all.Expect(":1"); err != nil {
		t.Error(err)
	}
}
