package jq

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/itchyny/gojq"
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
	tostringName = "_tostring_checked"
)

// prelude has the operators and functions that make large values of small ones check first what they would make. jq takes the right operand's values
// in the outer loop, as these do.
const prelude = `def _add_checked($r; $l): _check_size($l; $r; false) | $l + $r;
def _multiply_checked($r; $l): _check_size($l; $r; true) | $l * $r;
def _tostring_checked: _check_total | tostring;
def _tojson_checked: _check_total | tojson;
def _sum_checked: _check_total | add;
def _sum_checked(f): [f] | _check_total | add;
def _flatten_checked: _check_total | flatten;
def _flatten_checked(d): _check_total | flatten(d);
def _transpose_checked: _check_rows | transpose;
def _format_checked(f): _check_total | format(f);
def _join_checked($s): _check_join($s) | join($s);
`

// checked are functions that the prelude has in a form that checks.
var checked = map[string]string{
	"tostring/0": tostringName, "tojson/0": "_tojson_checked", "add/0": "_sum_checked", "add/1": "_sum_checked", "flatten/0": "_flatten_checked",
	"flatten/1": "_flatten_checked", "transpose/0": "_transpose_checked", "format/1": "_format_checked", "join/1": "_join_checked",
}

// indexing are functions whose first argument says where in an array a value is to be, and what that is checked with: an array is as long as its
// greatest index.
var indexing = map[string]string{
	"setpath/2": checkIndexName, "getpath/1": checkIndexName, "nth/1": checkIndexName, "fromstream/1": checkEventName,
}

// name is a function with the number of its arguments.
func name(f string, args int) string { return fmt.Sprintf("%s/%d", f, args) }

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
			rewriteFormat(n)
		case *gojq.Index:
			if n.Start != nil && !n.IsSlice && !literal(n.Start) {
				n.Start = pipe(n.Start, checkIndexName)
			}
		case *gojq.FuncDef:
			for _, f := range append([]string{name(n.Name, len(n.Args))}, parameters(n.Args)...) {
				if (checked[f] != "" || indexing[f] != "") && w.err == nil {
					w.err = fmt.Errorf("%s is jq's own and cannot be defined", f)
				}
			}
		case *gojq.Func:
			if why, ok := refused[n.Name]; ok && w.err == nil {
				w.err = fmt.Errorf("%s cannot be used: %s", n.Name, why)
			}
			f := name(n.Name, len(n.Args))
			if c := checked[f]; c != "" {
				n.Name = c
			} else if c := indexing[f]; c != "" {
				n.Args[0] = pipe(n.Args[0], c)
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

// parameters are a definition's parameters that are called as functions are.
func parameters(args []string) (names []string) {
	for _, a := range args {
		names = append(names, name(a, 0))
	}
	return names
}

// pipe is q | f.
func pipe(q *gojq.Query, f string) *gojq.Query {
	return &gojq.Query{Left: q, Op: gojq.OpPipe, Right: &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: f}}}}
}

// literal says that an index is a string or a number without more than a million in it, as it stands.
func literal(q *gojq.Query) bool {
	t := q.Term
	if t == nil || len(t.SuffixList) > 0 || len(q.FuncDefs) > 0 {
		return false
	}
	return t.Type == gojq.TermTypeString && len(t.Str.Queries) == 0 || t.Type == gojq.TermTypeNumber && len(t.Number) <= 6 && strings.Trim(t.Number, "0123456789") == ""
}

// rewriteFormat makes @base64 and its like check what they are given.
func rewriteFormat(t *gojq.Term) {
	if t.Type != gojq.TermTypeFormat || t.Str != nil {
		return
	}
	format := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFormat, Format: t.Format}}
	t.Query = &gojq.Query{Left: &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: checkTotalName}}}, Op: gojq.OpPipe, Right: format}
	t.Type, t.Format = gojq.TermTypeQuery, ""
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
	to := &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: tostringName}}
	if t.Type == gojq.TermTypeFormat {
		to = &gojq.Term{Type: gojq.TermTypeFormat, Format: t.Format}
		rewriteFormat(to)
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
