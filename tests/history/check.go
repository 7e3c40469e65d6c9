package history

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// searchPatience bounds the search for one key's order; shrinkPatience each of those that look for where it went wrong.
const (
	searchPatience = 60 * time.Second
	shrinkPatience = 5 * time.Second
)

// Violation is a key whose history no cache that is true to its log can have.
type Violation struct {
	Key string
	// What is the first operation that cannot be placed, and what speaks against it; several lines.
	What string
	// File has porcupine's visualisation; empty where none was written.
	File string
}

// Verdict is what the check of a history found.
type Verdict struct {
	Keys, Operations int
	Violations       []Violation // of the first keys only: the rest is counted
	More             int
	Undecided        []string // keys whose search took too long
}

// mostViolations is how many are described.
const mostViolations = 5

// check has porcupine look at every key. Visualisations of violations go to dir; annotations are drawn beside them.
func check(events [][]Event, log Log, dir string, annotations []porcupine.Annotation) (*Verdict, error) {
	histories := compile(events, log)
	v := &Verdict{Keys: len(histories)}
	results := make([]porcupine.CheckResult, len(histories))
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, h := range histories {
		v.Operations += len(h.ops)
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer wg.Done()
			results[i] = porcupine.CheckOperationsTimeout(h.model.model(), h.ops, searchPatience)
			<-slots
		}()
	}
	wg.Wait()
	for i, h := range histories {
		switch results[i] {
		case porcupine.Ok:
		case porcupine.Unknown:
			v.Undecided = append(v.Undecided, h.key)
		default:
			if len(v.Violations) == mostViolations {
				v.More++
				continue
			}
			violation, err := h.describe(dir, annotations)
			if err != nil {
				return nil, err
			}
			v.Violations = append(v.Violations, violation)
		}
	}
	return v, nil
}

// until is the history as far as it had come at a time: what had not returned may still happen later, if it writes.
func (h *keyHistory) until(t int64) []porcupine.Operation {
	var ops []porcupine.Operation
	for _, o := range h.ops {
		switch kind := o.Input.(*op).kind; {
		case o.Return <= t:
		case o.Call <= t && (kind == opAppend || kind == opAppendSome || kind == opAppendMay):
			o.Return = never
		default:
			continue
		}
		ops = append(ops, o)
	}
	return ops
}

// describe finds the first moment at which the history cannot be explained any more, and writes what led to it.
func (h *keyHistory) describe(dir string, annotations []porcupine.Annotation) (Violation, error) {
	var returns []int64
	for _, o := range h.ops {
		returns = append(returns, o.Return)
	}
	slices.Sort(returns)
	returns = slices.Compact(returns)
	m := h.model
	m.prefix = true
	first := sort.Search(len(returns)-1, func(i int) bool {
		return porcupine.CheckOperationsTimeout(m.model(), h.until(returns[i]), shrinkPatience) == porcupine.Illegal
	})
	ops, shown := h.ops, h.model
	if first < len(returns)-1 {
		ops, shown = h.until(returns[first]), m
	}
	v := Violation{Key: h.key, What: h.explain(ops, returns[first])}
	if dir == "" {
		return v, nil
	}
	model := shown.model()
	_, info := porcupine.CheckOperationsVerbose(model, ops, shrinkPatience)
	info.AddAnnotations(annotations)
	v.File = filepath.Join(dir, fmt.Sprintf("%s-%08x.html", h.key, rand.Uint32()))
	f, err := os.Create(v.File)
	if err != nil {
		return v, err
	}
	defer f.Close()
	if err := porcupine.Visualize(model, info, f); err != nil {
		return v, fmt.Errorf("visualise the history of %s: %w", h.key, err)
	}
	return v, nil
}

// explain says in words what could not be placed at the time at, and what the instance was known to have before.
func (h *keyHistory) explain(ops []porcupine.Operation, at int64) string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "key %s", h.key)
	if h.log != nil {
		fmt.Fprintf(&sb, " (partition %d, %d versions)", h.log.Partition, len(h.log.Records))
	}
	if at == never {
		sb.WriteString(": no order explains the whole history: the log may have what nobody wrote\n")
		return sb.String()
	}
	sb.WriteString(": no order explains what was seen from here on:\n")
	var last *Event
	for _, c := range ops {
		o := c.Input.(*op)
		if c.Return != at || o.event == last {
			continue
		}
		last = o.event
		fmt.Fprintf(&sb, "  %v\n  that is: %s\n", o.event, h.model.describe(o))
		for _, p := range ops {
			if q := p.Input.(*op); q.kind == opAppend && q.version == o.version && q.event != o.event {
				fmt.Fprintf(&sb, "  of which the write was: %v\n", q.event)
			}
		}
		var known *porcupine.Operation
		for i, p := range ops {
			q := p.Input.(*op)
			if p.Return < c.Call && q.instance == o.instance && (q.kind == opRead || q.kind == opReach) && (known == nil || q.version >= known.Input.(*op).version) {
				known = &ops[i]
			}
		}
		if known != nil {
			q := known.Input.(*op)
			fmt.Fprintf(&sb, "  while before it: %v\n  that is: %s\n", q.event, h.model.describe(q))
		}
	}
	return sb.String()
}
