package avrojson

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/avro"
)

// maxDepth is how deep values, and types that are written within each other, may nest.
const (
	maxDepth  = 256
	maxNested = 2 * maxDepth // with unions counted
)

// Schema is an Avro schema, ready for use by several goroutines.
type Schema struct{ root *node }

type kind uint8

const (
	kindNull kind = iota
	kindBoolean
	kindInt
	kindLong
	kindFloat
	kindDouble
	kindBytes
	kindString
	kindFixed
	kindEnum
	kindArray
	kindMap
	kindUnion
	kindRecord
)

var kinds = map[string]kind{
	"null": kindNull, "boolean": kindBoolean, "int": kindInt, "long": kindLong, "float": kindFloat, "double": kindDouble, "bytes": kindBytes,
	"string": kindString, "fixed": kindFixed, "enum": kindEnum, "array": kindArray, "map": kindMap, "union": kindUnion, "record": kindRecord, "error": kindRecord,
}

// node is one type.
type node struct {
	kind    kind
	name    string // how errors call it
	time    *timeType
	decimal bool
	uuid    bool

	scale, precision int
	size             int // of a fixed
	symbols          []string
	quoted           [][]byte // symbols as JSON
	items            *node    // of an array, or a map's values
	branches         []*node
	fields           []field
	index            map[string]int // of symbols or fields, by name
}

type field struct {
	name   string
	member []byte // the name as JSON, with its colon
	node   *node
	// otherwise is the default, in Avro's binary encoding; nil: there is none.
	otherwise []byte
}

// Compile makes a schema ready.
func Compile(s *avro.Schema) (*Schema, error) {
	c := compiler{named: map[string]*node{}}
	root, err := c.node(s.Root(), "", 0)
	if err != nil {
		return nil, err
	}
	return &Schema{root}, nil
}

type compiler struct{ named map[string]*node }

func (c *compiler) node(n *avro.SchemaNode, namespace string, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("types nest deeper than %d", maxDepth)
	}
	k, known := kinds[n.Type]
	if !known {
		return c.reference(n.Type, namespace)
	}
	out := &node{kind: k, name: n.Type}
	if k == kindRecord || k == kindEnum || k == kindFixed {
		full := fullName(n.Name, n.Namespace)
		out.name = full
		c.named[full] = out
		namespace = full[:max(0, strings.LastIndexByte(full, '.'))]
	}
	if err := out.setLogical(n); err != nil {
		return nil, err
	}
	depth++
	var err error
	switch k {
	case kindFixed:
		out.size = n.Size
	case kindEnum:
		err = out.setSymbols(n.Symbols)
	case kindArray:
		out.items, err = c.node(n.Items, namespace, depth)
	case kindMap:
		out.items, err = c.node(n.Values, namespace, depth)
	case kindUnion:
		for i := range n.Branches {
			branch, err := c.node(&n.Branches[i], namespace, depth)
			if err != nil {
				return nil, err
			}
			out.branches = append(out.branches, branch)
		}
	case kindRecord:
		err = c.fields(out, n.Fields, namespace, depth)
	}
	return out, err
}

// reference finds a type that was defined before, in the namespace that encloses the name, or without one.
func (c *compiler) reference(name, namespace string) (*node, error) {
	if out, ok := c.named[fullName(name, namespace)]; ok {
		return out, nil
	}
	if out, ok := c.named[name]; ok {
		return out, nil
	}
	return nil, fmt.Errorf("type %.64q is not known", name)
}

func fullName(name, namespace string) string {
	if namespace == "" || strings.Contains(name, ".") {
		return name
	}
	return namespace + "." + name
}

func (c *compiler) fields(out *node, fields []avro.SchemaField, namespace string, depth int) error {
	out.index = make(map[string]int, len(fields))
	for i := range fields {
		f := &fields[i]
		n, err := c.node(&f.Type, namespace, depth)
		if err != nil {
			return fmt.Errorf("field %.64s: %w", f.Name, err)
		}
		member, err := json.Marshal(f.Name)
		if err != nil {
			return fmt.Errorf("field %.64s: %w", f.Name, err)
		}
		compiled := field{name: f.Name, member: append(member, ':'), node: n}
		if f.HasDefault {
			if compiled.otherwise, err = defaultOf(f); err != nil {
				return fmt.Errorf("default of field %.64s: %w", f.Name, err)
			}
		}
		out.index[f.Name] = i
		out.fields = append(out.fields, compiled)
	}
	return nil
}

func defaultOf(f *avro.SchemaField) ([]byte, error) {
	s, err := f.Type.Schema()
	if err != nil {
		return nil, err
	}
	return s.AppendEncode([]byte{}, f.Default)
}

func (n *node) setSymbols(symbols []string) error {
	n.symbols, n.index = symbols, make(map[string]int, len(symbols))
	for i, s := range symbols {
		quoted, err := json.Marshal(s)
		if err != nil {
			return err
		}
		n.quoted = append(n.quoted, quoted)
		n.index[s] = i
	}
	return nil
}

// setLogical takes the logical types that have a form of their own in JSON, where they stand on a type that they may stand on. Any other is
// its underlying type, as the specification has it.
func (n *node) setLogical(from *avro.SchemaNode) error {
	switch l := from.LogicalType; {
	case l == "":
	case l == "decimal" && (n.kind == kindBytes || n.kind == kindFixed):
		n.decimal, n.scale, n.precision = true, from.Scale, from.Precision
		if n.scale < 0 || n.precision < 1 || n.scale > n.precision || n.precision > maxDigits {
			return errors.New("a decimal whose precision and scale cannot be used")
		}
	case l == "uuid" && (n.kind == kindString || n.kind == kindFixed && from.Size == 16):
		n.uuid = true
	default:
		if t, ok := timeTypes[l]; ok && t.kind == n.kind {
			n.time = &t
		}
	}
	return nil
}
