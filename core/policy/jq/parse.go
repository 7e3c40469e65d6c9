package jq

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/itchyny/gojq"

	"github.com/yolean/kafka-cache/core/policy"
)

// refused are functions that would make a program more than a function of its record, or end the process.
var refused = map[string]string{
	"now": "the time is not the record's: .timestamp is", "localtime": "it depends on where it runs: use gmtime", "strflocaltime": "it depends on where it runs: use strftime",
	"env": "the environment is not the record's", "$ENV": "the environment is not the record's",
	"input": "there is one record at a time", "inputs": "there is one record at a time", "input_filename": "there is no file", "input_line_number": "there is no file",
	"halt": "a program does not end the process", "halt_error": "a program does not end the process",
	"debug": "there is nowhere to write it", "stderr": "there is nowhere to write it", "modulemeta": "there are no modules",
}

// Names that programs are rewritten with; jq's own names with an underscore in front are of this kind too.
const (
	checkName    = "_check_size"
	addName      = "_add_checked"
	multiplyName = "_multiply_checked"
)

// prelude has the operators that make large values of small ones check first what they would make. jq takes the right operand's values
// in the outer loop, as these do.
const prelude = `def _add_checked($r; $l): _check_size($l; $r; false) | $l + $r;
def _multiply_checked($r; $l): _check_size($l; $r; true) | $l * $r;
`

// parse parses a program, refuses what it may not have, and puts the checked operators in place of the others.
func parse(program string) (*gojq.Query, error) {
	query, err := gojq.Parse(program)
	if err != nil {
		return nil, place(program, err)
	}
	if len(query.Imports) > 0 || query.Meta != nil {
		return nil, errors.New("modules cannot be imported")
	}
	w := walker{}
	w.walk(reflect.ValueOf(query))
	if w.err != nil {
		return nil, w.err
	}
	operators, err := gojq.Parse(prelude + ".")
	if err != nil {
		return nil, err
	}
	query.FuncDefs = append(operators.FuncDefs, query.FuncDefs...)
	return query, nil
}

// place adds line and column to a parser's error.
func place(program string, err error) error {
	text := strings.ReplaceAll(err.Error(), "\n", " ")
	var at *gojq.ParseError
	if !errors.As(err, &at) {
		return errors.New(text)
	}
	before := program[:max(0, min(at.Offset-len(at.Token), len(program)))]
	line := strings.Count(before, "\n") + 1
	column := len(before) - strings.LastIndexByte(before, '\n')
	return fmt.Errorf("line %d, column %d: %s", line, column, text)
}

// walker goes through all of a program's tree.
type walker struct{ err error }

func (w *walker) walk(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		w.walk(v.Elem())
		switch n := v.Interface().(type) {
		case *gojq.Query:
			rewriteOperator(n)
		case *gojq.Term:
			rewriteString(n)
		case *gojq.Func:
			if why, ok := refused[n.Name]; ok && w.err == nil {
				w.err = fmt.Errorf("%s cannot be used: %s", n.Name, why)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			w.walk(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			w.walk(v.Field(i))
		}
	}
}

// rewriteOperator makes l + r and l * r calls, and l += r and l *= r what they mean by those.
func rewriteOperator(q *gojq.Query) {
	call := func(name string, l, r *gojq.Query) *gojq.Query {
		return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: name, Args: []*gojq.Query{r, l}}}}
	}
	name := map[gojq.Operator]string{gojq.OpAdd: addName, gojq.OpMul: multiplyName, gojq.OpUpdateAdd: addName, gojq.OpUpdateMul: multiplyName}[q.Op]
	if name == "" {
		return
	}
	if q.Op == gojq.OpAdd || q.Op == gojq.OpMul {
		*q = *call(name, q.Left, q.Right)
		return
	}
	// r as $_operand | l |= _add_checked($_operand; .)
	operand := func() *gojq.Query {
		return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: "$_operand"}}}
	}
	here := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity}}
	update := &gojq.Query{Left: q.Left, Op: gojq.OpModify, Right: call(name, here, operand())}
	*q = gojq.Query{FuncDefs: q.FuncDefs, Left: q.Right, Op: gojq.OpPipe, Right: update, Patterns: []*gojq.Pattern{{Name: "$_operand"}}}
}

// rewriteString makes "a\(b)c" what it means: "a" + (b | tostring) + "c", or with a format in front the format's function in place of tostring.
func rewriteString(t *gojq.Term) {
	if t.Str == nil || len(t.Str.Queries) == 0 || t.Type != gojq.TermTypeString && t.Type != gojq.TermTypeFormat {
		return
	}
	to := &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: "tostring"}}
	if t.Type == gojq.TermTypeFormat {
		to = &gojq.Term{Type: gojq.TermTypeFormat, Format: t.Format}
	}
	var all *gojq.Query
	for _, part := range t.Str.Queries {
		if part.Term == nil || part.Term.Str == nil || part.Term.Type != gojq.TermTypeString {
			part = &gojq.Query{Left: part, Op: gojq.OpPipe, Right: &gojq.Query{Term: to}}
		}
		if all == nil {
			all = part
		} else {
			all = &gojq.Query{Left: all, Op: gojq.OpAdd, Right: part}
			rewriteOperator(all)
		}
	}
	t.Type, t.Str, t.Format, t.Query = gojq.TermTypeQuery, nil, "", all
}

// checkSize is the function that refuses operands whose result would be too large.
func checkSize(v any, args []any) any {
	size := func(v any) int {
		switch v := v.(type) {
		case string:
			return len(v)
		case []any:
			return 16 * len(v)
		case map[string]any:
			return 64 * len(v)
		}
		return 0
	}
	l, r := args[0], args[1]
	total := size(l) + size(r)
	if args[2] == true { // a string is repeated
		for _, operands := range [2][2]any{{l, r}, {r, l}} {
			if s, ok := operands[0].(string); ok {
				if n, ok := gojq.ToFloat64(operands[1]); ok && n > 0 {
					if float64(len(s))*n > policy.MaxYieldBytes {
						total = policy.MaxYieldBytes + 1
					}
				}
			}
		}
	}
	if total > policy.MaxYieldBytes {
		return fmt.Errorf("a value of more than %d bytes", policy.MaxYieldBytes)
	}
	return v
}
