package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const project = "github.com/yolean/kafka-cache/"

// inside says what a directory and all below it may import of the project; the
// longest directory that matches counts. A package may always import its own
// subdirectories and internal packages beside it.
var inside = map[string][]string{
	"core/position":              {},
	"core/sample":                {},
	"core/codec":                 {},
	"core/kafka":                 {"core/position"},
	"core/store":                 {"core/position"},
	"core/policy":                {},
	"core/policy/jsonschema":     {"core/policy", "core/sample"},
	"core/policy/cel":            {"core/policy", "core/sample"},
	"core/policy/jq":             {"core/policy", "core/sample"},
	"core":                       {"core"},
	"admin":                      {"core"},
	"respserver":                 {"core"},
	"respserver/cmd/kafka-cache": {"core", "admin", "respserver"},
	"loadgen":                    {"core/sample"},
	"tests":                      {"core", "respserver", "admin", "loadgen"},
	"tools":                      {},
}

// outside says where, and nowhere else, a package may be imported, of others for the most part.
var outside = []struct {
	imported string
	in       []string
	why      string
	inTests  []string // in _test.go files there too
}{
	{"github.com/IBM/sarama", []string{"core/kafka", "tests/conformance/peers/goka", "tests/bench/rawkafka"}, "one package speaks to Kafka", nil},
	{project + "core/codec/registry", []string{"core/codec/registry", "respserver/cmd/kafka-cache", "tests"}, "who uses no schema registry links none", nil},
	{"github.com/cockroachdb/pebble", []string{"core/store", "tests/internal/heldfiles"}, "one package owns the store", []string{"core/cache", "tests/cache"}}, // which damages one, and gives it a file system
	{"github.com/tidwall/redcon", []string{"respserver", "loadgen", "tests"}, "the cache knows nothing of Redis", nil},
	{"github.com/redis/", []string{"loadgen", "tests"}, "what is served does not depend on a client library", nil},
	{"github.com/twmb/franz-go", []string{"loadgen", "core/codec/registry", "respserver/cmd/kafka-cache", "tests"}, "it is for checking apart from the code under test, for --dev, and for schema registries", nil},
	{"github.com/santhosh-tekuri/jsonschema", []string{"core/policy/jsonschema", "core/codec/registry"}, "one package compiles schemas", []string{"core/sample"}},
	{"cel.dev/cel-go", []string{"core/policy/cel"}, "one package compiles rules", nil},
	{"github.com/itchyny/gojq", []string{"core/policy/jq"}, "one package compiles resolvers", nil},
	{"net/http", []string{"admin", "core/codec/registry", "respserver/cmd/kafka-cache", "loadgen", "tests", "tools"}, "the cache and its RESP frontend know nothing of HTTP", nil},
}

// chosen are packages of the project that only whoever wants what they link imports, and not what everybody links.
var chosen = []struct {
	imported []string
	in       []string
	why      string
}{
	{
		[]string{"core/policy/jsonschema", "core/policy/cel", "core/policy/jq"}, []string{"respserver/cmd/kafka-cache", "tests"},
		"a Go user links only the compilers of policies that are used",
	},
}

func checkImports(top string, files []string) ([]string, error) {
	var breaches []string
	for _, f := range files {
		if !strings.HasSuffix(f, ".go") || strings.Contains(f, "/testdata/") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(top, f), nil, parser.ImportsOnly)
		if err != nil {
			return nil, err
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return nil, err
			}
			if why := forbidden(f, imported); why != "" {
				breaches = append(breaches, fmt.Sprintf("%s imports %s: %s", f, imported, why))
			}
		}
	}
	return breaches, nil
}

// forbidden says why the file may not import what it imports, or nothing if it may.
func forbidden(file, imported string) string {
	dir := path.Dir(file)
	for _, o := range outside {
		in := o.in
		if strings.HasSuffix(file, "_test.go") {
			in = slices.Concat(in, o.inTests)
		}
		if strings.HasPrefix(imported, o.imported) && !slices.ContainsFunc(in, func(d string) bool { return within(dir, d) }) {
			return o.why + " (only " + strings.Join(o.in, ", ") + " may)"
		}
	}
	if own, ok := strings.CutPrefix(imported, project); ok {
		rule, allowed := "", []string(nil)
		for r, a := range inside {
			if within(dir, r) && len(r) >= len(rule) {
				rule, allowed = r, a
			}
		}
		if rule == "" {
			return "there is no rule for " + dir
		}
		for _, c := range chosen {
			i := slices.IndexFunc(c.imported, func(d string) bool { return within(own, d) })
			if i >= 0 && !within(dir, c.imported[i]) && !slices.ContainsFunc(c.in, func(d string) bool { return within(dir, d) }) {
				return c.why + " (only " + strings.Join(c.in, ", ") + " may)"
			}
		}
		if within(own, rule) || slices.ContainsFunc(allowed, func(a string) bool { return within(own, a) }) {
			return ""
		}
		if len(allowed) == 0 {
			return rule + " imports nothing of the project"
		}
		return rule + " imports only " + strings.Join(allowed, ", ") + " of the project"
	}
	return ""
}

// within tells whether dir is parent or below it.
func within(dir, parent string) bool {
	return dir == parent || strings.HasPrefix(dir, parent+"/")
}
