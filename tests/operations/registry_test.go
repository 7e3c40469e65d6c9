package operations

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/internal/certificates"
)

// metric is one of the registry, as a scrape shows it.
type metric struct {
	name, kind, help string
	labels           []string // sorted, without a histogram's le
}

// registry are the metrics of a daemon that has been given all that there are metrics of, by name.
type registry map[string]*metric

var scraped struct {
	sync.Mutex
	text string
}

// realRegistry is that of a daemon with a directory, limits, TLS and peers, some commands of whose clients have failed. It is started once.
func realRegistry(t *testing.T) (registry, string) {
	t.Helper()
	scraped.Lock()
	defer scraped.Unlock()
	if scraped.text == "" {
		files, err := certificates.Write(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		d := daemontest.Start(t, "--dev", "--data-dir", t.TempDir(), "--memory-limit", "2Gi", "--disk-limit", "1Gi",
			"--resp-tls-cert", files.Cert, "--resp-tls-key", files.Key, "--peers", "127.0.0.1:1")
		d.WaitReady()
		client := redis.NewClient(&redis.Options{Addr: d.RESPAddr, MaxRetries: -1, TLSConfig: &tls.Config{InsecureSkipVerify: true}})
		defer client.Close()
		ctx := context.Background()
		if err := client.Set(ctx, "key", `{"id":"key"}`, 0).Err(); err != nil {
			t.Fatal(err)
		}
		for _, refused := range [][]any{{"GET"}, {"SET", "key", "{"}} { // before it runs, and when it does
			if err := client.Do(ctx, refused...).Err(); err == nil {
				t.Fatalf("%v is not refused", refused)
			}
		}
		d.Await("the position covers the end", func() bool { return d.Metric("kafka_cache_consumer_lag_records") == 0 })
		_, _, _ = d.Get("/metrics") // the second scrape shows what the first took
		code, body, err := d.Get("/metrics")
		if err != nil || code != 200 {
			t.Fatalf("/metrics: %d, %v", code, err)
		}
		scraped.text = string(body) + overTLS(t, files) + towardsKafka(t, files)
	}
	return parse(t, scraped.text), scraped.text
}

// overTLS are the metrics that an instance has whose admin port speaks TLS.
func overTLS(t *testing.T, files certificates.Files) (text string) {
	t.Helper()
	d := daemontest.Start(t, "--dev", "--admin-tls-cert", files.Cert, "--admin-tls-key", files.Key)
	client := &http.Client{Timeout: daemontest.Patience, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Get("https://" + d.AdminAddr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if strings.Contains(line, "kafka_cache_admin_tls_") {
			text += line
		}
	}
	return text
}

// towardsKafka are the metrics that an instance has which shows brokers a certificate and tokens. There need be none for that.
func towardsKafka(t *testing.T, files certificates.Files) (text string) {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := daemontest.Start(t, "--topic=t", "--kafka-bootstrap=127.0.0.1:1", "--kafka-tls", "--kafka-tls-cert", files.Cert, "--kafka-tls-key", files.Key, "--kafka-sasl-mechanism=OAUTHBEARER",
		"--kafka-sasl-oauth-token-url=https://127.0.0.1:1/token", "--kafka-sasl-oauth-client-id=me", "--kafka-sasl-oauth-client-secret-file", secret)
	code, body, err := d.Get("/metrics")
	if err != nil || code != 200 {
		t.Fatalf("/metrics: %d, %v", code, err)
	}
	for line := range strings.Lines(string(body)) {
		if strings.Contains(line, "kafka_cache_kafka_") {
			text += line
		}
	}
	return text
}

var labelName = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="`)

// parse reads the text format. Each metric's HELP and TYPE come before its samples.
func parse(t *testing.T, text string) registry {
	t.Helper()
	r := registry{}
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	var last *metric
	for lines.Scan() {
		line := lines.Text()
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			last = &metric{name: name, help: strings.NewReplacer(`\n`, " ", `\\`, `\`).Replace(help)}
			r[name] = last
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			if last == nil || last.name != name {
				t.Fatalf("%s has no HELP", name)
			}
			last.kind = kind
			continue
		}
		if last == nil || !strings.HasPrefix(line, last.name) {
			t.Fatalf("a sample of no metric: %s", line)
		}
		if open := strings.IndexByte(line, '{'); open > 0 {
			for _, m := range labelName.FindAllStringSubmatch(line[open:strings.LastIndexByte(line, '}')], -1) {
				if m[1] != "le" && m[1] != "quantile" && !slices.Contains(last.labels, m[1]) {
					last.labels = append(last.labels, m[1])
				}
			}
		}
	}
	for _, m := range r {
		slices.Sort(m.labels)
	}
	if len(r) < 50 {
		t.Fatalf("only %d metrics:\n%s", len(r), text)
	}
	return r
}

// of is the metric that a sample's name belongs to; nil where there is none.
func (r registry) of(name string) *metric {
	if m := r[name]; m != nil {
		return m
	}
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if m := r[strings.TrimSuffix(name, suffix)]; strings.HasSuffix(name, suffix) && m != nil && (m.kind == "histogram" || m.kind == "summary") {
			return m
		}
	}
	return nil
}
