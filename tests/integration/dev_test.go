package integration

import (
	"encoding/json"
	"net"
	"os/exec"
	"testing"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

// TestDev: one command, no Kafka. The sample model is in databases 0 to 2, references lead from
// one to the other, redis-cli reads it, and writes are taken.
func TestDev(t *testing.T) {
	d := daemontest.Start(t, "--dev")
	d.WaitReady()
	users, organizations, sessions := d.Client(0), d.Client(1), d.Client(2)
	ctx := t.Context()
	id, err := users.RandomKey(ctx).Result()
	if err != nil {
		t.Fatal(err)
	}
	text, err := users.Get(ctx, id).Result()
	if err != nil {
		t.Fatal(err)
	}
	var user struct {
		ID, DisplayName string
		Groups          []string
	}
	if err := json.Unmarshal([]byte(text), &user); err != nil || user.ID != id || user.DisplayName == "" {
		t.Errorf("GET %s: %v: %s", id, err, text)
	}
	for _, g := range user.Groups {
		if n, err := organizations.Exists(ctx, g).Result(); err != nil || n != 1 {
			t.Errorf("organization %s of a user: %d, %v", g, n, err)
		}
	}
	if n, err := sessions.DBSize(ctx).Result(); err != nil || n == 0 {
		t.Errorf("%d sessions, %v", n, err)
	}

	_, port, err := net.SplitHostPort(d.RESPAddr)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(ctx, "redis-cli", "-p", port, "GET", id).Output()
	if err != nil || json.Unmarshal(out, &user) != nil || user.ID != id { // its value may have changed since
		t.Errorf("redis-cli: %v: %s", err, out)
	}

	applied := d.Metric("kafka_cache_applied_records_total")
	d.Await("the sample data keeps changing", func() bool { return d.Metric("kafka_cache_applied_records_total") > applied })
	if err := users.Set(ctx, "k", `{"any": "json"}`, 0).Err(); err != nil {
		t.Errorf("SET: %v", err)
	}
	if code := d.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
