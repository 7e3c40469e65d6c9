package jsonschema

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/yolean/kafka-cache/core/policy/internal/jsondoc"
)

// explain makes a compiler's error say the file, and where in it, instead of URLs that nobody else knows.
func (s *source) explain(err error) error {
	var invalid *jsonschema.SchemaValidationError
	if errors.As(err, &invalid) {
		var fault *jsonschema.ValidationError
		if errors.As(invalid.Err, &fault) {
			path, reason := tell(fault)
			file, within := s.locate(invalid.URL)
			return fmt.Errorf("%s: %s", s.place(file, within+path), reason)
		}
	}
	var regex *jsonschema.InvalidRegexError
	if errors.As(err, &regex) {
		file, pointer := s.locate(regex.URL)
		return fmt.Errorf("%s: pattern: %w", s.place(file, pointer), regex.Err)
	}
	var load *jsonschema.LoadURLError
	if errors.As(err, &load) {
		return fmt.Errorf("%s: $ref to %s: %w", s.name, strings.TrimPrefix(load.URL, scheme), load.Err)
	}
	return errors.New(s.name + ": " + strings.ReplaceAll(err.Error(), scheme, ""))
}

// locate splits a URL of the library into a file and a JSON Pointer in it.
func (s *source) locate(url string) (file, pointer string) {
	url, pointer, _ = strings.Cut(url, "#")
	file, ok := strings.CutPrefix(url, scheme)
	if !ok && s.id != "" {
		file = strings.TrimPrefix(url, s.id)
	}
	return file, pointer
}

// place is a file with the line and column of what a JSON Pointer leads to in it, and the pointer.
func (s *source) place(file, pointer string) string {
	d := s.documents[file]
	if d == nil {
		return file + " at " + root(pointer)
	}
	n := jsondoc.Node(0)
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if pointer == "" {
			break
		}
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		var next jsondoc.Node
		var ok bool
		switch d.doc.Kind(n) {
		case jsondoc.Object:
			next, ok = d.doc.Member(n, token)
		case jsondoc.Array:
			i, err := strconv.Atoi(token)
			next, ok = d.doc.Item(n, i)
			ok = ok && err == nil
		}
		if !ok {
			break
		}
		n = next
	}
	offset := d.doc.Offset(n)
	if d.doc.Kind(n) == jsondoc.String {
		offset-- // its quote
	}
	return file + ":" + position(d.text, offset) + " at " + root(pointer)
}

func root(pointer string) string {
	if pointer == "" {
		return "the root"
	}
	return pointer
}
