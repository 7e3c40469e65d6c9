package admin

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
)

// readyz answers 200 once every topic has been ready, and 503 with the reasons before that and after Drain. ?verbose lists
// the partitions, in either case.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ready, status := s.cache.Ready(), s.cache.Status()
	reasons := s.unready(ready, status, time.Now())
	code := http.StatusOK
	if len(reasons) > 0 {
		code = http.StatusServiceUnavailable
	}
	if !r.URL.Query().Has("verbose") {
		text := "ok\n"
		if len(reasons) > 0 {
			text = "not ready: " + strings.Join(reasons, "; ") + "\n"
		}
		writeText(w, code, text)
		return
	}
	writeText(w, code, verbose(status, reasons))
}

// unready are the reasons why the instance is not ready; none: it is.
func (s *Server) unready(ready bool, status cache.Status, now time.Time) []string {
	if status.State == cache.Stopping {
		return []string{"the instance is stopping"}
	}
	var reasons []string
	if !ready {
		for _, t := range status.Topics {
			if !t.Serving {
				reasons = append(reasons, notServing(t))
			}
		}
		if len(reasons) == 0 { // it became ready between the two questions
			reasons = append(reasons, "topics were still loading")
		}
		return reasons
	}
	if s.maxStaleness == 0 {
		return nil
	}
	for _, t := range status.Topics {
		for _, p := range t.Partitions {
			if age := fetchAge(t, p, now); age > s.maxStaleness {
				reasons = append(reasons, fmt.Sprintf("topic %s partition %d: last fetched %s ago, more than %s",
					t.Name, p.Partition, age.Round(time.Second/10), s.maxStaleness))
			}
		}
	}
	return reasons
}

// fetchAge counts a partition that was never fetched since the topic entered its state.
func fetchAge(t cache.TopicStatus, p cache.PartitionStatus, now time.Time) time.Duration {
	if p.FetchAgeSeconds < 0 {
		return now.Sub(t.Since)
	}
	return time.Duration(p.FetchAgeSeconds * float64(time.Second))
}

func notServing(t cache.TopicStatus) string { return "topic " + t.Name + ": " + stateText(t) }

func stateText(t cache.TopicStatus) string {
	if t.Reason == "" {
		return t.State.String()
	}
	return t.State.String() + ": " + oneLine(t.Reason)
}

// verbose marks what is as it should be with [+] and the rest with [-], as Kubernetes' own components do.
func verbose(status cache.Status, reasons []string) string {
	var b strings.Builder
	said := make(map[string]bool)
	for _, t := range status.Topics {
		said[notServing(t)] = true
		mark := "[-]"
		if t.Serving {
			mark = "[+]"
		}
		fmt.Fprintf(&b, "%stopic %s database %d: %s\n", mark, t.Name, t.Database, stateText(t))
		for _, p := range t.Partitions {
			fmt.Fprintf(&b, "   partition %d: position %s end %s lag %s lagSeconds %s fetchAgeSeconds %s%s\n", p.Partition,
				number(p.Position), number(p.End), lag(p), seconds(p.LagSeconds), seconds(p.FetchAgeSeconds), blocked(p))
		}
	}
	if len(reasons) == 0 {
		fmt.Fprintf(&b, "readyz check passed: %s is ready\n", status.Identity)
		return b.String()
	}
	for _, r := range reasons {
		if !said[r] { // in its topic's line
			fmt.Fprintf(&b, "[-]%s\n", r)
		}
	}
	b.WriteString("readyz check failed\n")
	return b.String()
}

const unknown = "unknown"

func number(n int64) string {
	if n < 0 {
		return unknown
	}
	return fmt.Sprint(n)
}

// lag is not known before the end is.
func lag(p cache.PartitionStatus) string {
	if p.End < 0 {
		return unknown
	}
	return fmt.Sprint(p.Lag)
}

// blocked is there only while an open transaction holds back what follows.
func blocked(p cache.PartitionStatus) string {
	if p.BlockedSince == nil {
		return ""
	}
	return " blockedSince " + p.BlockedSince.UTC().Format(time.RFC3339)
}

func seconds(s float64) string {
	if s < 0 {
		return unknown
	}
	return fmt.Sprintf("%.1f", s)
}

// oneLine keeps a reason, which may quote a broker, from adding lines.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
