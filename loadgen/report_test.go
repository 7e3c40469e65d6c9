package loadgen

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata anew")

// TestReportSchema: the JSON has the fields that it always had, of the same types. What is new is added to the file with -update.
func TestReportSchema(t *testing.T) {
	m := seeded(t)
	l := loadOn(m.Addr())
	l.Objectives, l.Duration = objectives(t, "p99=1h"), 1100*time.Millisecond
	open := mustRun(t, l)
	l.Closed, l.Rate, l.Duration = true, 0, 200*time.Millisecond
	closed := mustRun(t, l)
	var text strings.Builder
	for _, r := range []Report{open, closed} {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s\n%s\n", r.Loop, strings.Join(shape("", v), "\n"))
	}
	file := filepath.Join("testdata", "report.shape.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != string(want) {
		t.Errorf("the JSON's shape is not that of %s (go test -run TestReportSchema -update):\n%s", file, text.String())
	}
}

// shape is a line for each field, with its type; of lists the first element's.
func shape(path string, v any) []string {
	switch v := v.(type) {
	case map[string]any:
		var lines []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			lines = append(lines, shape(path+"."+k, v[k])...)
		}
		if len(lines) == 0 {
			return []string{path + " {}"}
		}
		return lines
	case []any:
		if len(v) == 0 {
			return []string{path + " []"}
		}
		return shape(path+"[]", v[0])
	case nil:
		return []string{path + " null"}
	default:
		return []string{fmt.Sprintf("%s %T", path, v)}
	}
}
