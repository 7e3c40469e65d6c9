package main // words:ignore: it names them

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// words that do not belong in the tree. A file that has to hold one says "words:ignore" in it.
var words = []struct {
	found *regexp.Regexp
	files string // what the name ends in
	why   string
}{
	{regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`), "", "what is left to do is an issue, not a comment"},
	{regexp.MustCompile(`"failed to `), ".go", `an error names the action: "read checkpoint: …"`},
	{regexp.MustCompile(`^type \w*(Manager|Service|Helper|Util)s? `), ".go", "the name does not say what it is"},
	{regexp.MustCompile(`panic\("not implemented`), ".go", "nothing is left out"},
	{regexp.MustCompile(`["'\s=(](/home/|/Users/|/root/)\w`), "", "a path of somebody's machine"},
}

var vagueNames = regexp.MustCompile(`^(utils?|common|helpers?|misc|shared|base)$`)

func checkWords(top string, files []string) ([]string, error) {
	var breaches []string
	seen := map[string]bool{}
	for _, f := range files {
		if dir := path.Dir(f); strings.HasSuffix(f, ".go") && vagueNames.MatchString(path.Base(dir)) && !seen[dir] {
			seen[dir] = true
			breaches = append(breaches, dir+": the name of the package does not say what it is")
		}
		text, err := os.ReadFile(filepath.Join(top, f))
		if err != nil {
			return nil, err
		}
		if strings.Contains(string(text), "words:"+"ignore") || strings.Contains(string(text), "\x00") {
			continue
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			for _, w := range words {
				if strings.HasSuffix(f, w.files) && w.found.MatchString(line) {
					breaches = append(breaches, fmt.Sprintf("%s:%d: %s: %s", f, n, strings.TrimSpace(w.found.FindString(line)), w.why))
				}
			}
		}
	}
	return breaches, nil
}
