package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

func init() {
	RegisterSubject("kafka-cache", func() Subject { return &kafkaCache{binary: os.Getenv("CONFORMANCE_KAFKA_CACHE")} })
}

// kafkaCache is the daemon as a process: RESP, its HTTP API, its log.
type kafkaCache struct {
	binary string // CONFORMANCE_KAFKA_CACHE: of another build than this tree's
	dir    string // of the binary that Prepare built
}

func (k *kafkaCache) Name() string { return "kafka-cache" }

func (k *kafkaCache) Version() string {
	if k.dir == "" {
		return k.binary
	}
	return "as it is in this tree"
}

func (k *kafkaCache) Offers(Capability) bool { return true }

func (k *kafkaCache) Prepare(ctx context.Context) error {
	if k.binary != "" {
		return nil
	}
	top, err := daemontest.Top()
	if err != nil {
		return err
	}
	if k.dir, err = os.MkdirTemp("", "conformance-kafka-cache-"); err != nil {
		return err
	}
	k.binary = filepath.Join(k.dir, "kafka-cache")
	args := []string{"-C", filepath.Join(top, "respserver"), "build", "-o", k.binary}
	if raceDetector {
		args = append(args, "-race")
	}
	if out, err := exec.CommandContext(ctx, "go", append(args, "./cmd/kafka-cache")...).CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
}

func (k *kafkaCache) Close() error {
	if k.dir == "" {
		return nil
	}
	return os.RemoveAll(k.dir)
}

func (k *kafkaCache) Start(ctx context.Context, spec Spec) (Instance, error) {
	orText := func(s string) string {
		if s == "" {
			return "utf-8"
		}
		return s
	}
	args := []string{
		"serve", "--kafka-bootstrap", spec.Bootstrap, "--topic", spec.Topic, "--identity", spec.Identity,
		"--resp-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--shutdown-grace", "0s", "--log-format", "json",
		"--key-encoding", orText(spec.KeyEncoding), "--value-encoding", orText(spec.ValueEncoding), fmt.Sprintf("--read-only=%v", !spec.Writable),
	}
	if spec.DataDir != "" {
		args = append(args, "--data-dir", spec.DataDir)
	}
	cmd := exec.Command(k.binary, append(args, spec.Args...)...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "KCACHE_") && !strings.HasPrefix(e, "POD_NAME") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	p, err := StartProcess(cmd)
	if err != nil {
		return nil, err
	}
	d := &daemon{Process: p, topic: spec.Topic}
	if err := d.listen(ctx); err != nil {
		p.Kill()
		return nil, fmt.Errorf("%w; it printed:\n%s", err, p.Log())
	}
	return d, nil
}

// daemon is a running kafka-cache with one topic.
type daemon struct {
	*Process
	topic           string
	resp, adminAddr string
	redis           *redis.Client
}

// patience bounds one question to a daemon that runs.
const patience = 10 * time.Second

func (d *daemon) listen(ctx context.Context) error {
	for what, addr := range map[string]*string{"resp listening": &d.resp, "admin listening": &d.adminAddr} {
		v, err := d.WaitLine(ctx, func(line string) (string, bool) {
			var l struct{ Msg, Addr string }
			err := json.Unmarshal([]byte(line), &l)
			return l.Addr, err == nil && l.Msg == what
		})
		if err != nil {
			return fmt.Errorf("wait until it says %q: %w", what, err)
		}
		*addr = v
	}
	// It does not retry: what the server answered is what is looked at.
	d.redis = redis.NewClient(&redis.Options{Addr: d.resp, MaxRetries: -1, ReadTimeout: 2 * time.Minute, ContextTimeoutEnabled: true})
	return nil
}

func (d *daemon) Kill() {
	d.Process.Kill()
	if d.redis != nil {
		d.redis.Close()
	}
}

func (d *daemon) Stop(ctx context.Context) error {
	if err := d.Process.Stop(ctx); err != nil {
		return err
	}
	if code := d.ExitCode(); code != 0 {
		return fmt.Errorf("it ended with code %d after SIGTERM", code)
	}
	return nil
}

// Fault is what no process may print, whatever happens to it; empty where it did not.
func (d *daemon) Fault() string {
	log := d.Log()
	for _, fault := range []string{"DATA RACE", "panic:", "fatal error:"} {
		if strings.Contains(log, fault) {
			return fault
		}
	}
	return ""
}

func (d *daemon) WaitReady(ctx context.Context) (time.Duration, error) {
	err := poll(ctx, 5*time.Millisecond, func() error {
		select {
		case <-d.Done():
			return fmt.Errorf("%w with code %d", errGiveUp, d.ExitCode())
		default:
		}
		code, body, err := d.http(ctx, "/readyz")
		if err == nil && code != 200 {
			err = fmt.Errorf("/readyz: %d: %s", code, oneLine(string(body)))
		}
		return err
	})
	return time.Since(d.Began), err
}

func (d *daemon) Get(ctx context.Context, key string) (string, bool, error) {
	v, err := d.redis.Get(ctx, key).Result()
	if errors.Is(err, redis.Nil) {
		return "", false, nil
	}
	return v, err == nil, err
}

// All scans, and reads what the scan names; a key that goes in between is not there.
func (d *daemon) All(ctx context.Context) (map[string]string, error) {
	all := map[string]string{}
	for cursor := uint64(0); ; {
		keys, next, err := d.redis.Scan(ctx, cursor, "", 1000).Result()
		if err != nil {
			return nil, fmt.Errorf("SCAN: %w", err)
		}
		if len(keys) > 0 {
			values, err := d.redis.MGet(ctx, keys...).Result()
			if err != nil {
				return nil, fmt.Errorf("MGET: %w", err)
			}
			for i, v := range values {
				if s, ok := v.(string); ok {
					all[keys[i]] = s
				}
			}
		}
		if cursor = next; cursor == 0 {
			return all, nil
		}
	}
}

func (d *daemon) Put(ctx context.Context, key, value string) error {
	return d.redis.Set(ctx, key, value, 0).Err()
}

func (d *daemon) Delete(ctx context.Context, key string) error { return d.redis.Del(ctx, key).Err() }

func (d *daemon) PutToken(ctx context.Context, key, value string) (string, error) {
	reply, err := d.redis.Do(ctx, "KAFKA.SET", key, value).Slice()
	if err != nil {
		return "", err
	}
	if len(reply) != 3 {
		return "", fmt.Errorf("KAFKA.SET replies %v", reply)
	}
	return fmt.Sprint(reply[2]), nil
}

func (d *daemon) Position(ctx context.Context) (string, error) {
	return d.redis.Do(ctx, "KAFKA.POSITION").Text()
}

func (d *daemon) Wait(ctx context.Context, token string, timeout time.Duration) (bool, error) {
	n, err := d.redis.Do(ctx, "KAFKA.WAIT", token, timeout.Milliseconds()).Int()
	return n == 1, err
}

// Redis is a client of database 0 that does not retry.
func (d *daemon) Redis() *redis.Client { return d.redis }

// RedisAddr is where it speaks RESP.
func (d *daemon) RedisAddr() string { return d.resp }
