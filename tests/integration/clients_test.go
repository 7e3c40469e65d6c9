package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// writable is an instance with an empty topic that clients may write to.
func writable(t *testing.T, args ...string) *daemontest.Daemon {
	t.Helper()
	c := kafkatest.Shared(t)
	d := serve(t, c, c.NewTopic(t, 2, nil), append([]string{"--read-only=false"}, args...)...)
	d.WaitReady()
	return d
}

// TestGoRedis connects as an application does, in both versions of the protocol.
func TestGoRedis(t *testing.T) {
	d := writable(t)
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprintf("RESP%d", protocol), func(t *testing.T) {
			client := redis.NewClient(&redis.Options{Addr: d.RESPAddr, Protocol: protocol, ClientName: "app", MaxRetries: -1})
			defer client.Close()
			ctx := t.Context()
			key := fmt.Sprintf("key-%d", protocol)
			if err := client.Ping(ctx).Err(); err != nil {
				t.Fatal(err)
			}
			wantMissing(t, client, key)
			if err := client.Set(ctx, key, "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
			wantGet(t, client, key, "v")
			pipeline := client.Pipeline()
			for i := range 100 {
				pipeline.Set(ctx, fmt.Sprintf("%s-%d", key, i), i, 0)
			}
			last := pipeline.Get(ctx, key+"-99")
			if _, err := pipeline.Exec(ctx); err != nil || last.Val() != "99" {
				t.Errorf("a pipeline: %v; GET in it %q", err, last.Val())
			}
			// WAIT is about the writes of its own connection.
			conn := client.Conn()
			defer conn.Close()
			if err := conn.Set(ctx, key, "w", 0).Err(); err != nil {
				t.Fatal(err)
			}
			if n, err := conn.Wait(ctx, 1, 10*time.Second).Result(); err != nil || n != 1 {
				t.Errorf("WAIT 1: %d, %v", n, err)
			}
			if n, err := conn.Wait(ctx, 2, 50*time.Millisecond).Result(); err != nil || n != 1 {
				t.Errorf("WAIT 2 without peers: %d, %v", n, err)
			}
			token, err := conn.Do(ctx, "KAFKA.LASTWRITE").Text()
			if err != nil || !strings.HasPrefix(token, "1:") {
				t.Errorf("KAFKA.LASTWRITE: %q, %v", token, err)
			}
			if err := client.SetNX(ctx, key, "x", 0).Err(); err == nil {
				t.Error("SETNX is accepted")
			}
			if err := client.Set(ctx, key, "x", time.Minute).Err(); err == nil || !strings.Contains(err.Error(), "EX") {
				t.Errorf("SET with an expiry: %v", err)
			}
			var inside *redis.StringCmd
			var deleted *redis.IntCmd
			if _, err := client.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Set(ctx, key, "together", 0)
				inside = p.Get(ctx, key)
				deleted = p.Del(ctx, key+"-1", "none")
				p.Set(ctx, key+"-2", "together", 0)
				return nil
			}); err != nil || inside.Val() != "together" || deleted.Val() != 1 {
				t.Errorf("a transaction: %v; GET in it %q, DEL %d", err, inside.Val(), deleted.Val())
			}
			wantGet(t, client, key, "together")
			wantGet(t, client, key+"-2", "together")
			wantMissing(t, client, key+"-1")
			if n, err := client.Del(ctx, key, "none").Result(); err != nil || n != 1 {
				t.Errorf("DEL: %d, %v", n, err)
			}
			wantMissing(t, client, key)
			if err := client.Get(ctx, key).Err(); !errors.Is(err, redis.Nil) {
				t.Errorf("GET: %v", err)
			}
		})
	}
}

// TestRueidis connects with the client that pipelines everything on one connection: with its defaults, for
// which it asks for client tracking and for cluster slots, and without.
func TestRueidis(t *testing.T) {
	d := writable(t)
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprintf("plain=%v", plain), func(t *testing.T) {
			o := rueidis.ClientOption{InitAddress: []string{d.RESPAddr}, DisableCache: plain, ForceSingleClient: plain, DisableRetry: true}
			client, err := rueidis.NewClient(o)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			useRueidis(t, client, fmt.Sprintf("%v-", plain))
			if !plain {
				useClientSideCache(t, client, d)
			}
		})
	}
}

func useRueidis(t *testing.T, client rueidis.Client, prefix string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := client.Do(ctx, client.B().Get().Key(prefix+"k").Build()).Error(); !rueidis.IsRedisNil(err) {
		t.Errorf("GET of none: %v", err)
	}
	var cmds rueidis.Commands
	for i := range 100 {
		cmds = append(cmds, client.B().Set().Key(fmt.Sprintf("%skey-%d", prefix, i)).Value(fmt.Sprint(i)).Build())
	}
	for i, r := range client.DoMulti(ctx, cmds...) {
		if s, err := r.ToString(); err != nil || s != "OK" {
			t.Fatalf("SET %d: %q, %v", i, s, err)
		}
	}
	if n, err := client.Do(ctx, client.B().Wait().Numreplicas(1).Timeout(10_000).Build()).ToInt64(); err != nil || n != 1 {
		t.Errorf("WAIT: %d, %v", n, err)
	}
	if s, err := client.Do(ctx, client.B().Get().Key(prefix+"key-42").Build()).ToString(); err != nil || s != "42" {
		t.Errorf("GET: %q, %v", s, err)
	}
	values, err := client.Do(ctx, client.B().Mget().Key(prefix+"key-1", "none", prefix+"key-2").Build()).ToArray()
	if err != nil || len(values) != 3 || !values[1].IsNil() {
		t.Errorf("MGET: %v, %v", values, err)
	}
	if n, err := client.Do(ctx, client.B().Del().Key(prefix+"key-1", "none").Build()).ToInt64(); err != nil || n != 1 {
		t.Errorf("DEL: %d, %v", n, err)
	}
	reply, err := client.Do(ctx, client.B().Arbitrary("KAFKA.SET").Args(prefix+"k", "v").Build()).ToArray()
	if err != nil || len(reply) != 3 {
		t.Fatalf("KAFKA.SET: %v, %v", reply, err)
	}
	token, err := reply[2].ToString()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := client.Do(ctx, client.B().Arbitrary("KAFKA.WAIT").Args(token, "10000").Build()).ToInt64(); err != nil || n != 1 {
		t.Errorf("KAFKA.WAIT: %d, %v", n, err)
	}
}

// useClientSideCache reads through DoCache, which is MULTI with CLIENT CACHING, and sees what others change.
func useClientSideCache(t *testing.T, client rueidis.Client, d *daemontest.Daemon) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	read := func() (string, bool) {
		t.Helper()
		r := client.DoCache(ctx, client.B().Get().Key("cached").Cache(), time.Hour)
		v, err := r.ToString()
		if err != nil && !rueidis.IsRedisNil(err) {
			t.Fatalf("DoCache: %v", err)
		}
		return v, r.IsCacheHit()
	}
	for _, want := range []string{"", "1", "2"} {
		if want != "" {
			if err := d.Client(0).Set(ctx, "cached", want, 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			if v, _ := read(); v == want {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the client's cache does not come to %q", want)
			}
		}
		if v, hit := read(); v != want || !hit {
			t.Errorf("DoCache: %q, from the cache %v", v, hit)
		}
	}
}

// TestRedisPy runs the newest version, which speaks RESP3 by default, and the oldest that is supported, which speaks RESP2.
func TestRedisPy(t *testing.T) {
	top, err := daemontest.Top()
	if err != nil {
		t.Fatal(err)
	}
	versions, err := filepath.Glob(filepath.Join(top, "build", "python", "redis-*"))
	if err != nil || len(versions) < 2 {
		t.Fatalf("redis-py is not in build/python (%v): make setup installs it", versions)
	}
	d := writable(t)
	_, port, err := net.SplitHostPort(d.RESPAddr)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range versions {
		t.Run(filepath.Base(version), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, filepath.Join(top, "build", "python", "bin", "python"), "testdata/client.py", port, filepath.Base(version))
			cmd.Env = append(os.Environ(), "PYTHONPATH="+version, "PYTHONDONTWRITEBYTECODE=1")
			out, err := cmd.CombinedOutput()
			want := "redis-py " + strings.TrimPrefix(filepath.Base(version), "redis-") + "\nok\n"
			if err != nil || string(out) != want {
				t.Errorf("%v; printed:\n%s", err, out)
			}
		})
	}
}

// TestPassword asks for it, and takes it from every kind of client.
func TestPassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := writable(t, "--resp-password-file", file)
	ctx := t.Context()
	without := d.Client(0)
	if err := without.Get(ctx, "k").Err(); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH ") {
		t.Errorf("GET without a password: %v", err)
	}
	for _, protocol := range []int{2, 3} {
		wrong := redis.NewClient(&redis.Options{Addr: d.RESPAddr, Password: "wrong", Protocol: protocol, MaxRetries: -1})
		if err := wrong.Ping(ctx).Err(); err == nil || !strings.HasPrefix(err.Error(), "WRONGPASS ") {
			t.Errorf("RESP%d with a wrong password: %v", protocol, err)
		}
		wrong.Close()
		right := redis.NewClient(&redis.Options{Addr: d.RESPAddr, Password: "s3cret", Protocol: protocol, MaxRetries: -1})
		if err := right.Set(ctx, "k", "v", 0).Err(); err != nil {
			t.Errorf("RESP%d with the password: %v", protocol, err)
		}
		right.Close()
	}
	if strings.Contains(d.Log(), "s3cret") {
		t.Error("the password is in the log")
	}
}
