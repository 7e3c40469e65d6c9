package history

import (
	"cmp"
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
	// What are the last operations up to the first moment that cannot be explained; several lines.
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

// mostViolations is how many are described, each with the operations that returned last.
const (
	mostViolations = 5
	lastShown      = 12
)

// check has porcupine look at every key. Visualisations of violations go to dir; annotations are drawn beside them.
func check(events [][]Event, log Log, deposed []span, dir string, annotations []porcupine.Annotation) (*Verdict, error) {
	histories := compile(events, log, deposed)
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

// explain lists what had returned last by the time at.
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
	sb.WriteString(": no order explains what was seen up to here:\n")
	var underWay []*op // writes that others have seen before they were answered
	ops = slices.DeleteFunc(slices.Clone(ops), func(o porcupine.Operation) bool {
		if q := o.Input.(*op); o.Return > at && o.Call <= at && q.kind != opEnd {
			underWay = append(underWay, q)
		}
		return o.Return > at
	})
	slices.SortStableFunc(ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	if len(ops) > lastShown {
		ops = ops[len(ops)-lastShown:]
		sb.WriteString("  …\n")
	}
	for _, o := range ops {
		fmt.Fprintf(&sb, "  %v…%v client %d: %s\n", time.Duration(o.Call).Round(time.Microsecond), time.Duration(o.Return).Round(time.Microsecond), o.ClientId,
			h.model.describe(o.Input.(*op)))
	}
	for _, o := range underWay {
		fmt.Fprintf(&sb, "  not answered yet: client %d: %s\n", o.event.Client, h.model.describe(o))
	}
	return sb.String()
}
