package admin

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
)

// The page in its first paint has the shape that events tell, so that a browser does not load it again.
func TestShape(t *testing.T) {
	s, _ := newServer(t)
	first, err := s.render(s.statusNow(), time.Now(), &lookupView{})
	if err != nil {
		t.Fatal(err)
	}
	later, err := s.render(s.statusNow(), time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if first.shape() != later.shape() || !strings.Contains(string(first.html), fmt.Sprintf(`data-shape="%s"`, later.shape())) {
		t.Errorf("shapes %s and %s", first.shape(), later.shape())
	}
	status := s.statusNow()
	status.Topics[0].Partitions = append(status.Topics[0].Partitions, cache.PartitionStatus{Partition: 9})
	if more, err := s.render(status, time.Now(), nil); err != nil || more.shape() == first.shape() {
		t.Errorf("%v: with one partition more the shape is the same", err)
	}
}

var (
	cellText  = regexp.MustCompile(`(<span data-cell="[^"]*") class="[^"]*">[^<]*</span>`)
	cellClass = regexp.MustCompile(`class="state [a-z]+" data-class-of`)
)

// Pages of one shape differ in what is in their cells alone, which is all that events bring up to date.
func TestWhatChangesIsInCells(t *testing.T) {
	s, _ := newServer(t)
	live := func(change func(*Status)) (shape, text string) {
		t.Helper()
		status := Status{Status: sample(0.1), Rates: &Rates{}, Peers: &Peers{Connected: 1, Dropped: 1, Lookups: map[string]string{"a.example": "no such host"},
			Addresses: []Peer{{Addr: "a:1", State: "unreachable", Reason: "refused", AgeSeconds: -1}}}}
		topic := &status.Topics[0]
		topic.Rebuild = &cache.RebuildStatus{Reason: "expired", Since: time.Unix(1400, 0), Verifying: true, Serving: true}
		topic.Invalid, topic.InvalidByRule, topic.Rebuilds = 1, map[string]uint64{"schema": 1}, map[string]uint64{"expired": 1}
		change(&status)
		v, err := s.render(status, time.Unix(2000, 0), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ = strings.Cut(string(v.html), `<div id="live">`)
		text, _, found := strings.Cut(text, `<section id="configuration"`)
		if !found {
			t.Fatal("the page has no live part")
		}
		return v.shape(), cellClass.ReplaceAllString(cellText.ReplaceAllString(text, "$1"), "")
	}
	shape, text := live(func(*Status) {})
	for what, change := range map[string]func(*Status){
		"verifying":  func(s *Status) { s.Topics[0].Rebuild.Verifying = false },
		"answering":  func(s *Status) { s.Topics[0].Rebuild.Serving = false },
		"no rebuild": func(s *Status) { s.Topics[0].Rebuild = nil },
		"state": func(s *Status) {
			s.State, s.Topics[0].State, s.Topics[0].Reason = cache.Stale, cache.Stale, "no answer"
		},
		"serving":    func(s *Status) { s.Topics[0].Serving = false },
		"resident":   func(s *Status) { s.Topics[0].Resident = false },
		"blocked":    func(s *Status) { at := time.Unix(1500, 0); s.Topics[0].Partitions[0].BlockedSince = &at },
		"partition":  func(s *Status) { s.Topics[0].Partitions = s.Topics[0].Partitions[:1] },
		"lag":        func(s *Status) { s.Topics[0].Partitions[0].Lag, s.Topics[0].Partitions[0].LagSeconds = 0, 0 },
		"invalid":    func(s *Status) { s.Topics[0].Invalid, s.Topics[0].InvalidByRule["schema"] = 0, 0 },
		"rebuilds":   func(s *Status) { s.Topics[0].Rebuilds["truncated"] = 1 },
		"comparable": func(s *Status) { s.Topics[0].NotComparable = "start -24h is relative" },
		"topic id":   func(s *Status) { s.Topics[0].ID[0] = 1 },
		"memory":     func(s *Status) { s.Memory.Go = 1 << 30 },
		"no rates":   func(s *Status) { s.Rates = nil },
		"no peers":   func(s *Status) { s.Peers = nil },
		"dropped":    func(s *Status) { s.Peers.Dropped = 2 },
		"look-up":    func(s *Status) { s.Peers.Lookups["a.example"] = "time-out" },
		"found":      func(s *Status) { s.Peers.Lookups = nil },
		"connected":  func(s *Status) { s.Peers.Addresses[0].State, s.Peers.Addresses[0].Reason = "connected", "" },
		"positions":  func(s *Status) { s.Peers.Addresses[0].Positions = map[string]map[int32]int64{"users": {0: 1}} },
		"address":    func(s *Status) { s.Peers.Addresses = append(s.Peers.Addresses, Peer{Addr: "b:1"}) },
	} {
		changedShape, changed := live(change)
		if (changedShape == shape) != (changed == text) {
			t.Errorf("%s: the same shape: %v; the same but for cells: %v", what, changedShape == shape, changed == text)
		}
	}
}
