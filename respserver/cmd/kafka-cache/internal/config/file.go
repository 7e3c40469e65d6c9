package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds what is read of a configuration file.
const maxFile = 1 << 20

// file is a decoded configuration file.
type file struct {
	assignments []assignment
	topics      []fileTopic
	topicsLine  string // source of the key topics; empty without it
	dir         string // where its relative paths begin
	policies    filePolicies
	users       []User
}

// fileTopic is one entry of topics; nil: not said.
type fileTopic struct {
	name        string
	source      string
	readOnly    *bool
	keyEncoding *string
	valEncoding *string
	start       *string
	retention   *time.Duration
	repair      *bool
	startAt     string // sources of start, repair and valEncoding
	repairAt    string
	valuesAt    string
	policies    filePolicies
}

func readFile(path string) (*file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("--config: %s is larger than %d bytes", path, maxFile)
	}
	return parseFile(path, b)
}

// parseFile walks the YAML's nodes itself: every key must be known, and every error has its line.
func parseFile(path string, b []byte) (*file, error) {
	decoder := yaml.NewDecoder(strings.NewReader(string(b)))
	var doc yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return &file{}, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %s", path, oneLine(err))
	}
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, fmt.Errorf("%s:%d: a second document", path, second.Line)
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s: %s", path, oneLine(err))
	}
	f := &file{dir: filepath.Dir(path)}
	err := eachKey(path, doc.Content[0], func(key string, source string, v *yaml.Node) error {
		switch key {
		case "version":
			if s, err := scalar(v); err != nil || s != "1" {
				return fmt.Errorf("%s: only version 1 of this file is known", source)
			}
			return nil
		case "topics":
			f.topicsLine = source
			return f.parseTopics(path, source, v)
		case "validate":
			return f.policies.parseValidate(path, v)
		case "users":
			var err error
			f.users, err = parseUsers(path, f.dir, source, v)
			return err
		}
		o := find(key)
		if o == nil {
			return unknown(source, "unknown key", key)
		}
		if o.noFile {
			return fmt.Errorf("%s: cannot be set in the file", source)
		}
		values, err := scalars(o, v)
		if err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
		for _, s := range values {
			if o.isPath() {
				s = inDir(f.dir, s)
			}
			f.assignments = append(f.assignments, assignment{o, s, source})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (f *file) parseTopics(path, source string, n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode {
		return fmt.Errorf("%s: is not a list", source)
	}
	for _, item := range n.Content {
		t := fileTopic{source: fmt.Sprintf("%s:%d: topics", path, item.Line)}
		if s, err := scalar(item); err == nil {
			return fmt.Errorf("%s: a topic is written \"- name: %.64s\"", t.source, s)
		}
		err := eachKey(path, item, func(key, source string, v *yaml.Node) error {
			if key == "validate" {
				return t.policies.parseValidate(path, v)
			}
			s, err := scalar(v)
			if err != nil {
				return fmt.Errorf("%s: %w", source, err)
			}
			switch key {
			case "name":
				t.name = s
			case "read-only":
				t.readOnly = new(bool)
				err = boolean{t.readOnly}.parse(s)
			case "key-encoding":
				t.keyEncoding = new(string)
				err = encoding{t.keyEncoding, true}.parse(s)
			case "value-encoding":
				t.valEncoding, t.valuesAt = new(string), source
				err = encoding{t.valEncoding, false}.parse(s)
			case "start":
				t.start, t.startAt = &s, source
			case "delete-retention":
				t.retention = new(time.Duration)
				err = duration{t.retention, 0}.parse(s)
			case "repair-split-keys":
				t.repair, t.repairAt = new(bool), source
				err = boolean{t.repair}.parse(s)
			case "resolver":
				t.policies.resolver, err = given(s, source)
			case "resolver-yields":
				t.policies.yields, t.policies.yieldsAt = s, source
			case "dead-letter-topic":
				t.policies.deadLetter, t.policies.deadLetterAt = s, source
			default:
				return fmt.Errorf("%s: unknown key (a topic has name, read-only, key-encoding, value-encoding, start, delete-retention, repair-split-keys, resolver, resolver-yields, validate, dead-letter-topic)", source)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", source, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if t.name == "" {
			return fmt.Errorf("%s: a topic without a name", t.source)
		}
		f.topics = append(f.topics, t)
	}
	return nil
}

// inDir is the path that s, as it stands in a file of that directory, means.
func inDir(dir, s string) string {
	if s == "" || filepath.IsAbs(s) {
		return s
	}
	return filepath.Join(dir, s)
}

// eachKey calls fn for the pairs of a mapping, each key once; source is "path:line: key".
func eachKey(path string, n *yaml.Node, fn func(key, source string, v *yaml.Node) error) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" { // a file of comments
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: is not a mapping of keys to values", path, n.Line)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		source := fmt.Sprintf("%s:%d: %.64s", path, k.Line, printable(k.Value))
		if k.Kind != yaml.ScalarNode {
			return fmt.Errorf("%s:%d: a key that is not plain text", path, k.Line)
		}
		if seen[k.Value] {
			return fmt.Errorf("%s: is given twice", source)
		}
		seen[k.Value] = true
		if err := fn(k.Value, source, n.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// scalars is a node's text, or, for an option that is a list, its items'.
func scalars(o *option, n *yaml.Node) ([]string, error) {
	if _, isList := o.value(&Config{}).(appendable); !isList || n.Kind != yaml.SequenceNode {
		s, err := scalar(n)
		return []string{s}, err
	}
	if len(n.Content) == 0 {
		return nil, errors.New("an empty list")
	}
	var out []string
	for _, item := range n.Content {
		s, err := scalar(item)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func scalar(n *yaml.Node) (string, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind != yaml.ScalarNode:
		return "", errors.New("is not a single value")
	case n.Tag == "!!null":
		return "", errors.New(`has no value ("" is the empty one)`)
	}
	return n.Value, nil
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

func given(s, source string) (Source, error) {
	if strings.TrimSpace(s) == "" {
		return Source{}, errors.New("is empty")
	}
	return Source{Given: s, At: source}, nil
}
