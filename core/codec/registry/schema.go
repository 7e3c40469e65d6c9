package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/yolean/kafka-cache/core/codec/registry/internal/avrojson"
)

// schema is one of the registry's, ready for use.
type schema struct {
	id   int
	kind sr.SchemaType
	size int // of its text, with what it refers to
	// Of avro and json there is what kind says, where unusable is "".
	avro *avrojson.Schema
	json *jsonschema.Schema
	// unusable is why nothing can be read or written with it, though the registry has it.
	unusable string
}

// maxReferences bounds the schemas that one refers to, directly or not, and maxReferenceDepth how far.
const (
	maxReferences     = 200
	maxReferenceDepth = 20
)

// reference is a schema that others refer to by a name.
type reference struct {
	name string
	text string
}

// load gets what a schema refers to and makes it ready. Its error is errMissing's, codec.ErrUnavailable's or ctx's; what is wrong with the schema
// itself is in the schema.
func (r *Registry) load(ctx context.Context, id int, text sr.Schema) (*schema, error) {
	s := &schema{id: id, kind: text.Type, size: len(text.Schema)}
	refs := &references{registry: r, seen: map[string]bool{}}
	if err := refs.collect(ctx, text.References, 0); err != nil {
		if refs.unusable == "" {
			return nil, err
		}
		s.unusable = refs.unusable
		return s, nil
	}
	for _, ref := range refs.inOrder {
		s.size += len(ref.text)
	}
	var err error
	switch text.Type {
	case sr.TypeAvro:
		s.avro, err = compileAvro(text.Schema, refs.inOrder)
	case sr.TypeJSON:
		s.json, err = compileJSON(text.Schema, refs.inOrder)
	default:
		err = fmt.Errorf("schemas of type %s are not supported", text.Type)
	}
	if err != nil {
		s.unusable = oneLine(err.Error())
	}
	return s, nil
}

// references are collected so that each comes after what it refers to itself.
type references struct {
	registry *Registry
	seen     map[string]bool
	inOrder  []reference
	unusable string
}

func (c *references) collect(ctx context.Context, refs []sr.SchemaReference, depth int) error {
	for _, ref := range refs {
		key := fmt.Sprintf("%s %d %s", ref.Subject, ref.Version, ref.Name)
		if c.seen[key] {
			continue
		}
		c.seen[key] = true
		if depth >= maxReferenceDepth || len(c.seen) > maxReferences {
			c.unusable = fmt.Sprintf("it refers to more than %d other schemas, or deeper than %d", maxReferences, maxReferenceDepth)
			return errors.New(c.unusable)
		}
		text, err := c.registry.client.byVersion(ctx, ref.Subject, ref.Version)
		if err != nil {
			return fmt.Errorf("what it refers to as %.64s: %w", ref.Name, err)
		}
		if err := c.collect(ctx, text.References, depth+1); err != nil {
			return err
		}
		c.inOrder = append(c.inOrder, reference{ref.Name, text.Schema.Schema})
	}
	return nil
}

func compileAvro(text string, refs []reference) (*avrojson.Schema, error) {
	var cache avro.SchemaCache
	for _, ref := range refs {
		if _, err := cache.Parse(ref.text); err != nil {
			return nil, fmt.Errorf("%.64s, which it refers to: %w", ref.name, err)
		}
	}
	parsed, err := cache.Parse(text)
	if err != nil {
		return nil, err
	}
	return avrojson.Compile(parsed)
}

// base is where a schema without an $id is, so that what it refers to by a relative name is found beside it.
const base = "registry:///"

// compileJSON compiles a JSON Schema. What it refers to is found among its references alone: nothing is fetched from anywhere.
func compileJSON(text string, refs []reference) (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	named := named{}
	for _, ref := range refs {
		if named[ref.name], err = jsonschema.UnmarshalJSON(strings.NewReader(ref.text)); err != nil {
			return nil, fmt.Errorf("%.64s, which it refers to: %w", ref.name, err)
		}
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7) // Confluent's, for a schema that does not say
	compiler.UseLoader(named)
	const root = base + "schema.json"
	if err := compiler.AddResource(root, document); err != nil {
		return nil, err
	}
	return compiler.Compile(root)
}

// named finds references by their names, which are absolute URLs or relative to what refers to them.
type named map[string]any

// Load implements jsonschema.URLLoader.
func (n named) Load(url string) (any, error) {
	if document, ok := n[url]; ok {
		return document, nil
	}
	if document, ok := n[strings.TrimPrefix(url, base)]; ok {
		return document, nil
	}
	found := ""
	for name := range n { // relative to the $id of what refers to it; the longest name that fits is the nearest
		if strings.HasSuffix(url, "/"+strings.TrimPrefix(name, "./")) && len(name) > len(found) {
			found = name
		}
	}
	if found != "" {
		return n[found], nil
	}
	return nil, fmt.Errorf("%.100s is not among the schema's references", url)
}
