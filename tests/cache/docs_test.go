package cache_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

// shownPackages are what Go code in the documents may use.
var shownPackages = []string{
	"context", "fmt",
	"github.com/cockroachdb/pebble/v2",
	"github.com/yolean/kafka-cache/core/cache",
	"github.com/yolean/kafka-cache/core/codec",
	"github.com/yolean/kafka-cache/core/codec/registry",
	"github.com/yolean/kafka-cache/core/kafka",
	"github.com/yolean/kafka-cache/core/policy",
	"github.com/yolean/kafka-cache/core/position",
	"github.com/yolean/kafka-cache/core/store",
}

// shownAround is what a reader of the documents takes for given: a type of his own, and what earlier lines of a page have made.
const shownAround = `
type User struct{ Name, DisplayName string }

func shown(ctx context.Context, users *cache.TypedTopic[string, User], token string, rule *policy.ValueRule, blocks *pebble.Cache) error {
	{
%s
	}
	return nil
}
`

var shownGo = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// shownOmissions are how the documents leave things out, and what stands there for the compiler.
var shownOmissions = strings.NewReplacer("{ … }", "{}", "User{…}", "User{}", "Kafka: …", "Kafka: kafka.Config{}", "\n…\n", "\n", "\t…\n", "\n")

// TestGoInDocuments: what the documents show of Go compiles as it is written, but for what is left out (…) and not used.
func TestGoInDocuments(t *testing.T) {
	top, err := daemontest.Top()
	if err != nil {
		t.Fatal(err)
	}
	exports := map[string]string{}
	list := exec.Command("go", append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"}, shownPackages...)...)
	out, err := list.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("list the packages: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		exports[path] = file
	}
	files := token.NewFileSet()
	packages := importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })

	documents, err := filepath.Glob(filepath.Join(top, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	for _, document := range append(documents, filepath.Join(top, "README.md")) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range shownGo.FindAllSubmatchIndex(text, -1) {
			blocks++
			name := fmt.Sprintf("%s:%d", filepath.Base(document), 1+strings.Count(string(text[:at[2]]), "\n"))
			for _, fault := range compileShown(files, packages, name, string(text[at[2]:at[3]])) {
				t.Errorf("%s: %v", name, fault)
			}
		}
	}
	if blocks < 10 {
		t.Errorf("%d blocks of Go are found in the documents", blocks)
	}
	for name, wrong := range map[string]string{"a name": "users.Gett(token)", "a type": "users.Get(7)", "syntax": "users.Get("} {
		if len(compileShown(files, packages, name, wrong)) == 0 {
			t.Errorf("%s that is wrong is not found", name)
		}
	}
}

// compileShown is what the compiler has against a block. It does not mind what is declared and not used, nor imported.
func compileShown(files *token.FileSet, packages types.Importer, name, block string) (faults []error) {
	block = shownOmissions.Replace(block)
	if strings.HasPrefix(block, "PebbleOptions:") {
		block = "_ = cache.Config{\n" + block + "}"
	}
	var source strings.Builder
	source.WriteString("package shown\n")
	for _, p := range shownPackages {
		fmt.Fprintf(&source, "import %q\n", p)
	}
	fmt.Fprintf(&source, shownAround, block)
	parsed, err := parser.ParseFile(files, name, source.String(), 0)
	if err != nil {
		return []error{err}
	}
	config := types.Config{Importer: packages, Error: func(err error) {
		var e types.Error
		if !errors.As(err, &e) || !e.Soft {
			faults = append(faults, err)
		}
	}}
	_, _ = config.Check("shown", files, []*ast.File{parsed}, nil) // told to Error
	return faults
}
