package jq

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"github.com/yolean/kafka-cache/core/policy"
)

// Options say how a program is run.
type Options struct {
	// JSON says that values are JSON: the program gets them parsed, and what it yields is written as JSON, members sorted by name, but for a
	// value that goes through unchanged, whose bytes are kept. Otherwise values are text: the program gets and yields strings.
	JSON bool
	// OwnKey makes every output the value of the record's own key, see [policy.Resolver.OwnKey].
	OwnKey bool
}

// MaxSteps is how many of gojq's instructions a program may take for one record. It is some hundredths of a second.
const MaxSteps = 1_000_000

// engine stands for gojq's version in a resolver's name: another version may mean another thing by the same program.
const engine = "gojq 0.12"

var (
	errSteps = fmt.Errorf("the program takes more than %d steps", MaxSteps)
	errOwn   = errors.New("the program yields more than one value of the record's own key; an object with the members key and value alone is a value of another")
)

// Compile makes a resolver of a program. Its errors are of one line, with the place where the parser knows it.
func Compile(program string, o Options) (*policy.Resolver, error) {
	query, err := parse(program)
	if err != nil {
		return nil, err
	}
	code, err := gojq.Compile(query, checks...)
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), "\n", " "))
	}
	r := &resolver{code: code, opts: o}
	return &policy.Resolver{
		Name:    fmt.Sprintf("jq (%s, json %v, own key %v): %s", engine, o.JSON, o.OwnKey, program),
		OwnKey:  o.OwnKey,
		Resolve: r.resolve,
	}, nil
}

type resolver struct {
	code *gojq.Code
	opts Options
}

// resolve runs the program. gojq's own faults, should it have any, are the record's too.
func (r *resolver) resolve(rec *policy.Record, y *policy.Yields) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the program fails: %v", p)
		}
	}()
	input, err := r.input(rec)
	if err != nil {
		return err
	}
	value := input["value"]
	limit := steps.Get().(*stepLimit)
	limit.left = MaxSteps
	defer steps.Put(limit)
	outputs := r.code.RunWithContext(limit, input)
	own := false
	for budget := (writer{}); ; {
		out, more := outputs.Next()
		if !more {
			return nil
		}
		if failed, ok := out.(error); ok {
			return failure(failed)
		}
		if key, changed, ok := change(out); ok && !r.opts.OwnKey {
			text, err := r.write(&budget, changed, value, rec.Value)
			if err != nil {
				return err
			}
			y.Set([]byte(key), text)
		} else {
			if own {
				return errOwn
			}
			own = true
			text, err := r.write(&budget, out, value, rec.Value)
			if err != nil {
				return err
			}
			y.Own(text)
		}
		if err := y.Err(); err != nil {
			return err
		}
	}
}

// input is what the program gets.
func (r *resolver) input(rec *policy.Record) (map[string]any, error) {
	if !utf8.Valid(rec.Key) {
		return nil, errors.New("the key is not UTF-8")
	}
	headers := make(map[string]any, len(rec.Headers))
	for _, h := range rec.Headers {
		if h.Value == nil {
			headers[string(h.Key)] = nil
		} else {
			headers[string(h.Key)] = strings.ToValidUTF8(string(h.Value), "\uFFFD")
		}
	}
	in := map[string]any{
		"topic": rec.Topic, "partition": int(rec.Partition), "offset": int(rec.Offset), "timestamp": int(rec.Timestamp), "key": string(rec.Key), "headers": headers,
	}
	if !r.opts.JSON {
		if !utf8.Valid(rec.Value) {
			return nil, errors.New("the value is not UTF-8")
		}
		in["value"] = string(rec.Value)
		return in, nil
	}
	value, err := parseJSON(rec.Value)
	if err != nil {
		return nil, fmt.Errorf("the value is not JSON: %w", err)
	}
	in["value"] = value
	return in, nil
}

func parseJSON(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows it")
	}
	return v, nil
}

// change takes an output apart that is a value of a key.
func change(out any) (key string, value any, ok bool) {
	m, ok := out.(map[string]any)
	if !ok || len(m) != 2 {
		return "", nil, false
	}
	value, ok = m["value"]
	if !ok {
		return "", nil, false
	}
	key, ok = m["key"].(string)
	return key, value, ok
}

// write is an output as clients are to see it; in is the record's value, of which text is the spelling.
func (r *resolver) write(w *writer, out, in any, text []byte) ([]byte, error) {
	if !r.opts.JSON {
		s, ok := out.(string)
		if !ok {
			return nil, fmt.Errorf("the program yields %s where the topic's values are text", describe(out))
		}
		return []byte(s), nil
	}
	if same(out, in) {
		return bytes.Clone(text), nil
	}
	from := len(w.b)
	if err := w.value(out, 0); err != nil {
		return nil, err
	}
	return w.b[from:len(w.b):len(w.b)], nil
}

// same says that two values are one and the same. gojq changes none that it was given.
func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
	case []any:
		b, ok := b.([]any)
		return ok && len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
	}
	return false
}

func describe(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case map[string]any:
		return "an object"
	case []any:
		return "an array"
	}
	return "a number"
}

// failure is an error of the program on one line.
func failure(err error) error {
	if errors.Is(err, errSteps) {
		return err
	}
	return errors.New("the program fails: " + policy.Line(err.Error()))
}

// stepLimit is a context that ends after a number of questions whether it has: gojq asks once for each instruction. So
// the limit is the same on every machine.
type stepLimit struct {
	left int
	done chan struct{}
}

var _ context.Context = (*stepLimit)(nil)

var steps = sync.Pool{New: func() any {
	l := &stepLimit{done: make(chan struct{})}
	close(l.done)
	return l
}}

func (l *stepLimit) Done() <-chan struct{} {
	if l.left--; l.left < 0 {
		return l.done
	}
	return nil
}

func (l *stepLimit) Err() error {
	if l.left < 0 {
		return errSteps
	}
	return nil
}

func (*stepLimit) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*stepLimit) Value(any) any               { return nil }
