package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/yolean/kafka-cache/core/sample"
)

// compareArgs runs the command in this process.
func compareArgs(args ...string) (code int, stdout, stderr string) {
	var out, errs strings.Builder
	code = command(append([]string{"compare"}, args...), nil, &out, &errs)
	return code, out.String(), errs.String()
}

// broker is the address of a --dev daemon's broker.
func (p *process) broker() string {
	p.t.Helper()
	line := p.await("broker=")
	m := regexp.MustCompile(`broker="?([0-9.:]+)`).FindStringSubmatch(line)
	if m == nil {
		p.t.Fatalf("no address in %s", line)
	}
	return m[1]
}

// A start outside the log ends the process with both bounds, though it only shows once Kafka has been asked.
func TestStartOutsideTheLog(t *testing.T) {
	dev := start(t, nil, onFreePorts...)
	dev.await("msg=ready identity=")
	p := start(t, nil, "serve", "--kafka-bootstrap", dev.broker(), "--topic=organizations", "--start=offset:1000000", "--resp-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0")
	if code := p.exit(); code != 2 {
		t.Errorf("exit status %d, want 2", code)
	}
	p.await(`^kafka-cache: topic organizations: .*start offset:1000000: .*partition [0-9]+ has the offsets 0 to [1-9][0-9]*`)
	p = start(t, nil, "serve", "--kafka-bootstrap", dev.broker(), "--topic=organizations", "--start=timestamp:2100-01-01T00:00:00Z", "--resp-addr=127.0.0.1:0",
		"--admin-addr=127.0.0.1:0", "--shutdown-grace=0s")
	respAddr := p.addr("resp listening")
	p.await("msg=ready identity=") // a time past the last record starts at the end
	if got := redis(t, dial(t, respAddr), "DBSIZE"); got[0] != ":0" {
		t.Errorf("%q keys", got)
	}
}

// Two daemons that tail the same topics agree, while these change; a third that begins elsewhere cannot be compared with them.
func TestCompareDaemons(t *testing.T) {
	first := start(t, nil, onFreePorts...)
	a, broker := first.addr("admin listening"), first.broker()
	join := func(more ...string) string {
		p := start(t, nil, append([]string{"serve", "--kafka-bootstrap", broker, "--topic", strings.Join(sample.Topics(), ","), "--shutdown-grace=0s",
			"--resp-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--identity=test.cache-1", "--metadata-refresh=1s"}, more...)...)
		return p.addr("admin listening")
	}
	b := join()
	code, out, errs := compareArgs(a, "http://"+b+"/") // which waits until the second is ready
	if code != 0 || strings.Count(out, ": agree (") != len(sample.Topics()) || errs != "" {
		t.Errorf("%d %s%s", code, out, errs)
	}
	if code, out, errs := compareArgs(a, b, "--full", "--topic="+sample.Organizations); code != 0 || !strings.HasPrefix(out, "organizations: agree (") {
		t.Errorf("--full: %d %s%s", code, out, errs)
	}
	if code, body := httpGet(t, a, "/api/v1/checksum?topic=organizations&full"); code != 200 || !strings.Contains(body, `"full": "`) || !strings.Contains(body, `"state": "Ready"`) {
		t.Errorf("%d %s", code, body)
	}
	if code, body := httpGet(t, a, "/api/v1/checksum?topic=organizations"); code != 200 || strings.Contains(body, `"full"`) {
		t.Errorf("%d %s", code, body)
	}
	if code, out, errs := compareArgs(a, b, "--topic=users,orders"); code != 3 || !strings.Contains(out, "users: agree (") || !strings.Contains(out, `orders: not comparable: `+a) {
		t.Errorf("a topic that neither has: %d %s%s", code, out, errs)
	}
	other := join("--start=offset:0")
	if code, out, errs := compareArgs(a, other, "--topic=users"); code != 3 || !strings.Contains(out, "users: not comparable: records are read by other rules") {
		t.Errorf("another start: %d %s%s", code, out, errs)
	}

	// An instance that holds something else.
	wrong := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, body := httpGet(t, b, r.URL.RequestURI())
		var sum map[string]any
		if err := json.Unmarshal([]byte(body), &sum); err != nil {
			t.Error(err)
			return
		}
		p, ok := sum["partitions"].([]any)
		if !ok || len(p) == 0 {
			t.Errorf("no partitions in %s", body)
			return
		}
		p[0].(map[string]any)["digest"] = strings.Repeat("0", 31) + "1"
		if err := json.NewEncoder(w).Encode(sum); err != nil {
			t.Error(err)
		}
	}))
	defer wrong.Close()
	if code, out, errs := compareArgs(a, wrong.URL, "--topic", "organizations"); code != 1 || !strings.HasPrefix(out, "organizations: differ\n  partition 0: the digests differ at offset ") {
		t.Errorf("another digest: %d %s%s", code, out, errs)
	}

	first.signal(syscall.SIGTERM)
	if code := first.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if code, out, errs := compareArgs(a, b, "--timeout=100ms"); code != 3 || out != "" || !strings.HasPrefix(errs, "kafka-cache: nothing could be compared within 100ms: "+a+": ") {
		t.Errorf("without the first: %d %s%s", code, out, errs)
	}
	if code, out, errs := compareArgs(b, a, "--timeout=100ms", "--topic=users"); code != 3 || !strings.HasPrefix(out, "users: not compared in time: "+a+": ") {
		t.Errorf("without the second: %d %s%s", code, out, errs)
	}
}

func TestCompareUsage(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"a:1", "-h"}} {
		if code, out, errs := compareArgs(args...); code != 0 || out != compareUsage || errs != "" {
			t.Errorf("%v: %d %s%s", args, code, out, errs)
		}
	}
	for want, args := range map[string][]string{
		"two addresses are needed, 0 given": {}, "two addresses are needed, 1 given": {"a:1"}, "two addresses are needed, 3 given": {"a:1", "b:1", "c:1"},
		`"a" is neither host:port nor an http URL`: {"a", "b:1"}, "--frob: unknown flag": {"a:1", "b:1", "--frob"}, "--topic: needs a value": {"a:1", "b:1", "--topic"},
		"--topic: an empty name": {"a:1", "b:1", "--topic=x,"}, `--timeout: "0" is not a duration above 0`: {"a:1", "b:1", "--timeout", "0"},
		`--full: "yes" is neither true nor false`: {"a:1", "b:1", "--full=yes"},
		"--token-file: open /does/not/exist":      {"a:1", "b:1", "--token-file=/does/not/exist"}, "--tls-ca: ": {"https://a:1", "b:1", "--tls-ca=/does/not/exist"},
		"--tls-cert and --tls-key are given together": {"https://a:1", "b:1", "--tls-cert=c"}, "--tls-key: needs a value": {"a:1", "b:1", "--tls-key"},
	} {
		code, out, errs := compareArgs(args...)
		if code != 2 || out != "" || !strings.HasPrefix(errs, "kafka-cache: "+want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: %d %s%s, want %s", args, code, out, errs, want)
		}
	}
}
