package daemontest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Status is /api/v1/status, as far as its users rely on it.
type Status struct {
	Identity string
	Version  string
	State    string
	Topics   []TopicStatus
}

// TopicStatus is one topic of Status.
type TopicStatus struct {
	Name       string
	ID         string
	Database   int
	State      string
	Reason     string
	Serving    bool
	Keys       int64
	Durable    bool
	Resident   bool
	Partitions []PartitionStatus
	Rebuilds   map[string]uint64

	HistoryDependent bool
}

// PartitionStatus is one partition of a TopicStatus.
type PartitionStatus struct {
	Partition                    int32
	Position, End, LogStart, Lag int64
	LagSeconds, FetchAgeSeconds  float64
}

var httpClient = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// Get asks the admin listener.
func (d *Daemon) Get(path string) (code int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.AdminAddr+path, nil)
	if err != nil {
		return 0, nil, err
	}
	res, err := httpClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

// Status asks for /api/v1/status.
func (d *Daemon) Status() Status {
	d.tb.Helper()
	code, body, err := d.Get("/api/v1/status")
	if err != nil || code != http.StatusOK {
		d.tb.Fatalf("/api/v1/status: %d, %v: %s", code, err, body)
	}
	var s Status
	if err := json.Unmarshal(body, &s); err != nil {
		d.tb.Fatalf("/api/v1/status: %v: %s", err, body)
	}
	return s
}

// WaitReady waits until /readyz answers 200 and returns how long that took.
func (d *Daemon) WaitReady() time.Duration {
	d.tb.Helper()
	began := time.Now()
	d.Await("/readyz answers 200", func() bool {
		code, _, err := d.Get("/readyz")
		return err == nil && code == http.StatusOK
	})
	return time.Since(began)
}

// WaitLive waits until /livez answers 200.
func (d *Daemon) WaitLive() {
	d.tb.Helper()
	d.Await("/livez answers 200", func() bool {
		code, _, err := d.Get("/livez")
		return err == nil && code == http.StatusOK
	})
}

// Await polls until done, and fails the test when the daemon ends or Patience is over.
func (d *Daemon) Await(what string, done func() bool) {
	d.tb.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-d.proc.Done():
			d.tb.Fatalf("the daemon ended with code %d while it was awaited that %s", d.proc.ExitCode(), what)
		case <-deadline.C:
			_, ready, _ := d.Get("/readyz?verbose")
			d.tb.Fatalf("after %v it is not so that %s; /readyz says:\n%s", Patience, what, ready)
		}
	}
}

// Metric is the sum of a metric's samples that have all of the labels ("topic=users"); 0 when there is none.
func (d *Daemon) Metric(name string, labels ...string) float64 {
	d.tb.Helper()
	code, body, err := d.Get("/metrics")
	if err != nil || code != http.StatusOK {
		d.tb.Fatalf("/metrics: %d, %v", code, err)
	}
	sum, _, err := SumSamples(body, name, labels)
	if err != nil {
		d.tb.Fatalf("/metrics: %v", err)
	}
	return sum
}

// SumSamples is the sum of a metric's samples, in the text exposition format, that have all of the labels ("topic=users"), and whether there
// is any.
func SumSamples(text []byte, name string, labels []string) (sum float64, any bool, err error) {
	for line := range bytes.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(string(line)), name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		set, value := "", rest
		if rest[0] == '{' {
			end := strings.LastIndexByte(rest, '}')
			set, value = rest[1:end]+",", rest[end+1:]
		}
		has := true
		for _, l := range labels {
			k, v, _ := strings.Cut(l, "=")
			has = has && strings.Contains(","+set, fmt.Sprintf(",%s=%q,", k, v))
		}
		if !has {
			continue
		}
		v, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
		if err != nil {
			return 0, false, fmt.Errorf("%q: %w", line, err)
		}
		sum, any = sum+v, true
	}
	return sum, any, nil
}
