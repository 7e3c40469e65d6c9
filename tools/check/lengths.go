package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxLines is where a Go file holds more than one idea.
const maxLines = 500

func checkLengths(top string, files []string) ([]string, error) {
	var breaches []string
	for _, f := range files {
		if !strings.HasSuffix(f, ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(top, f))
		if err != nil {
			return nil, err
		}
		if n := bytes.Count(text, []byte("\n")); n > maxLines && !bytes.Contains(text, []byte("// Code generated ")) {
			breaches = append(breaches, fmt.Sprintf("%s has %d lines: a file holds one idea, %d at most", f, n, maxLines))
		}
	}
	return breaches, nil
}
