package jsonschema

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/yolean/kafka-cache/core/policy"
	"github.com/yolean/kafka-cache/core/policy/internal/jsondoc"
)

// library is what evaluates; it is part of a rule's name, since another version may decide otherwise.
const library = "santhosh-tekuri/jsonschema v6.0.3"

// maxFile is how many bytes a schema file may have.
const maxFile = 4 << 20

// Options are how a schema is compiled.
type Options struct {
	// Files are what a relative "$ref" may lead to, beside the schema; nil is none.
	Files fs.FS
	// FormatsAnnotate takes formats as annotations, which refuse nothing.
	FormatsAnnotate bool
}

// CompileFile makes a rule of a schema in a file. A "$ref" may lead to files in its directory and below, and to no others:
// neither by ".." nor by a symbolic link. Files are read now, and not again.
func CompileFile(file string, opts Options) (*policy.ValueRule, error) {
	dir, name := filepath.Split(file)
	if dir == "" {
		dir = "."
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	defer root.Close() //nolint:errcheck // nothing was written
	opts.Files = root.FS()
	schema, err := read(opts.Files, name)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	return Compile(name, schema, opts)
}

func read(files fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(files, name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: more than %d bytes", name, maxFile)
	}
	return fs.ReadFile(files, name)
}

// Compile makes a rule of a schema. The name is a relative file name, for errors and for what "$ref" is relative to. An error
// names the file, the line and the column, or the place in the schema as a JSON Pointer.
//
// The rule's Check refuses what is not JSON, and what does not match with the place and the reason that tell most. It is safe for
// concurrent use.
func Compile(name string, schema []byte, opts Options) (*policy.ValueRule, error) {
	s := &source{name: path.Clean(filepath.ToSlash(name)), files: opts.Files, annotate: opts.FormatsAnnotate, documents: map[string]*document{}}
	if !fs.ValidPath(s.name) {
		return nil, fmt.Errorf("compile schema: %q is not a relative file name", name)
	}
	if err := s.add(s.name, schema); err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	first, err := s.instance()
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", s.explain(err))
	}
	s.files = nil // all that it needs was read
	r := newRule(s, first)
	return &policy.ValueRule{Name: s.identity(), Check: r.check}, nil
}

// scheme is that of the URLs under which files are known to the library; none of them is ever resolved by anybody else.
const scheme = "schema:///"

// source is a schema with the files that it refers to.
type source struct {
	name      string
	id        string // the directory of the schema's own "$id", to which relative references are resolved: "" is none
	files     fs.FS
	annotate  bool
	documents map[string]*document // by file name
}

type document struct {
	text []byte
	doc  jsondoc.Document
	any  any
}

func (s *source) add(name string, text []byte) error {
	d := &document{text: text}
	if err := d.doc.Parse(text); err != nil {
		var fault *jsondoc.Error
		if errors.As(err, &fault) {
			return fmt.Errorf("%s:%s: not JSON: %s", name, position(text, fault.Offset), fault.Reason)
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	d.any = d.doc.Any(0)
	if m, ok := d.any.(map[string]any); ok && name == s.name {
		if id, ok := m["$id"].(string); ok {
			id, _, _ = strings.Cut(id, "#")
			if i := strings.LastIndexByte(id, '/'); i >= 0 && strings.Contains(id, ":") {
				s.id = id[:i+1]
			}
		}
	}
	s.documents[name] = d
	return nil
}

// Load is the library's way to a document: url is what a reference was resolved to.
func (s *source) Load(url string) (any, error) {
	name, ok := strings.CutPrefix(url, scheme)
	if !ok && s.id != "" {
		name, ok = strings.CutPrefix(url, s.id)
	}
	if !ok || !fs.ValidPath(name) || name == "." {
		return nil, errors.New("it is not beside the schema, and nothing is fetched from a network")
	}
	if s.documents[name] == nil {
		if s.files == nil {
			return nil, errors.New("the schema has no files beside it")
		}
		text, err := read(s.files, name)
		if err != nil {
			return nil, err
		}
		if err := s.add(name, text); err != nil {
			return nil, err
		}
	}
	return s.documents[name].any, nil
}

// instance compiles the schema, for one goroutine at a time.
func (s *source) instance() (*instance, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(s)
	if !s.annotate {
		c.AssertFormat()
	}
	full, err := c.Compile(scheme + s.name)
	if err != nil {
		return nil, err
	}
	// Under "not" the library does not gather reasons, but stops at the first.
	const negated = scheme + ".negated"
	err = c.AddResource(negated, map[string]any{"$schema": jsonschema.Draft2020.String(), "not": map[string]any{"$ref": scheme + s.name}})
	if err != nil {
		return nil, err
	}
	negative, err := c.Compile(negated)
	if err != nil {
		return nil, err
	}
	i := &instance{full: full, negated: negative}
	i.meter(full)
	i.meter(negative)
	for name, d := range s.documents {
		// What only a "$dynamicRef" leads to is not found from the root.
		for pointer := range dynamicAnchors(d.any, "") {
			if anchored, err := c.Compile(scheme + name + "#" + pointer); err == nil { // else it is no schema, but an example
				i.meter(anchored)
			}
		}
	}
	return i, nil
}

// identity is the rule's name: what the schema and the files that it refers to say, not where they are.
func (s *source) identity() string {
	names := make([]string, 0, len(s.documents))
	for name := range s.documents {
		if name != s.name {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	h := sha256.New()
	for _, name := range append([]string{s.name}, names...) {
		sum := sha256.Sum256(s.documents[name].text)
		if name != s.name {
			fmt.Fprintf(h, "%q ", name) //nolint:errcheck // a hash takes everything
		}
		h.Write(sum[:])
	}
	formats := "asserted"
	if s.annotate {
		formats = "annotations"
	}
	return "json schema sha256:" + hex.EncodeToString(h.Sum(nil)[:16]) + ", formats " + formats + ", " + library
}

// position is where an offset is, as line:column, both from 1; columns are bytes.
func position(text []byte, offset int) string {
	before := string(text[:min(offset, len(text))])
	line := strings.Count(before, "\n")
	return fmt.Sprintf("%d:%d", line+1, len(before)-strings.LastIndexByte(before, '\n'))
}
