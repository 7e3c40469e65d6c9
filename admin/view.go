package admin

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
)

// view is what the page's template shows. What changes while the page is open is in cells, which have names: so the first paint and what the
// script puts there later are made by the same template.
type view struct {
	Status        Status
	Now           time.Time
	Look          *lookupView // nil while an event is made: the look-up is not a part of it
	Configuration string
	NotKept       int

	Keys, Lag         int64
	KeysComing        bool // not all are counted yet
	LagUnknown        bool
	WorstLagSeconds   float64
	Invalid, Rebuilds uint64
	Applied           float64
	Reasons           []string

	html  []byte
	order []string
	cells map[string]cell
}

// cell is a text that changes, and the class that it is shown with.
type cell [2]string

// Cell puts a text that changes into the page.
func (v *view) Cell(name, text string, class ...string) template.HTML {
	c := cell{text, strings.Join(class, " ")}
	v.order = append(v.order, name)
	v.cells[name] = c
	return template.HTML(fmt.Sprintf(`<span data-cell="%s" class="%s">%s</span>`, template.HTMLEscapeString(name), template.HTMLEscapeString(c[1]), template.HTMLEscapeString(c[0])))
}

// shape is that of the page's live part: which cells there are, and of which topics. Whatever else changes there is in a cell. Where the shape differs from
// what a browser has, it loads the part again.
func (v *view) shape() string {
	h := fnv.New64a()
	for _, name := range v.order {
		_, _ = h.Write([]byte(name + "\n")) // it has no error
	}
	for _, t := range v.Status.Topics {
		_, _ = h.Write([]byte(t.Name + "\n"))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Shape marks the page with its shape. It comes last in the template.
func (v *view) Shape() string { return v.shape() }

// Reason is why the state is as it is.
func (v *view) Reason() string {
	switch {
	case v.Status.State == cache.Stopping:
		return "the instance is stopping"
	case len(v.Reasons) > 0:
		return strings.Join(v.Reasons, "; ")
	case v.Status.State == cache.Ready:
		return "every topic is loaded and followed"
	}
	return "no reason is known"
}

func (v *view) TotalLag() string {
	if v.LagUnknown {
		return unknown
	}
	return count(v.Lag)
}

// keysComing says that a topic is served while its keys are being read into memory, so that their number is not known yet.
func keysComing(t cache.TopicStatus) bool { return t.Serving && !t.Resident }

func keysText(n int64, coming bool) string {
	if coming {
		return count(n) + " so far, being read in"
	}
	return count(n)
}

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func stateClass(s cache.State) string {
	switch s {
	case cache.Ready:
		return "good"
	case cache.Failed:
		return "bad"
	}
	return "warn"
}

func lagClass(p cache.PartitionStatus) string {
	if p.Lag > 0 || p.LagSeconds > 0 {
		return "behind"
	}
	return ""
}

// count is a number with its thousands apart.
func count[T int64 | uint64 | int](n T) string {
	digits := strconv.FormatInt(int64(n), 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteString("\u202f") // a narrow space that does not break
		}
		b.WriteRune(d)
	}
	return b.String()
}

// countOf is count for the template.
func countOf(n any) string {
	switch v := n.(type) {
	case int64:
		return count(v)
	case uint64:
		return count(v)
	case int:
		return count(v)
	}
	return fmt.Sprint(n)
}

func rateText(n float64) string {
	switch {
	case n == 0:
		return "0"
	case n < 10:
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return count(int64(n + 0.5))
}

func bytesText(n int64) string {
	f, i := float64(n), 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

// latencyText is a time with the unit that fits.
func latencyText(s float64) string {
	switch {
	case s < 0:
		return "–"
	case s < 0.001:
		return fmt.Sprintf("%.3g µs", s*1e6)
	case s < 1:
		return fmt.Sprintf("%.3g ms", s*1e3)
	}
	return fmt.Sprintf("%.3g s", s)
}

// peerPositions are a peer's, by topic.
func peerPositions(p Peer) string {
	topics := make([]string, 0, len(p.Positions))
	for name, next := range p.Positions {
		partitions := make([]int32, 0, len(next))
		for n := range next {
			partitions = append(partitions, n)
		}
		slices.Sort(partitions)
		parts := make([]string, len(partitions))
		for i, n := range partitions {
			parts[i] = fmt.Sprintf("%d:%d", n, next[n])
		}
		topics = append(topics, name+" "+strings.Join(parts, " "))
	}
	slices.Sort(topics)
	return strings.Join(topics, "; ")
}

func (h *history) notKept() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.left
}
