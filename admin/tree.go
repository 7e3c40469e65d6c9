package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
)

// Bounds of a value that the page shows as a tree; what is beyond is in the JSON answer.
const (
	maxTreeNodes = 2000
	maxTreeDepth = 40
	maxTreeText  = 4096
)

// node is a part of a JSON value, in the order in which the value has them.
type node struct {
	Name  string // a member's name, or an element's number
	Kind  string // object, array, string, number, boolean, null
	Text  string // of what is neither an object nor an array
	Nodes []*node
	More  bool // there is more than is shown
}

var errTreeFull = errors.New("as much as is shown")

// tree is a value as the page shows it.
func tree(value []byte) (*node, error) {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	b := &treeBuilder{decoder: d, left: maxTreeNodes}
	root := &node{Name: "value"}
	err := b.fill(root, 0)
	if errors.Is(err, errTreeFull) {
		err = nil
	}
	return root, err
}

type treeBuilder struct {
	decoder *json.Decoder
	left    int
}

func (b *treeBuilder) fill(n *node, depth int) error {
	b.left--
	token, err := b.decoder.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	switch v := token.(type) {
	case json.Delim:
		n.Kind = "array"
		if v == '{' {
			n.Kind = "object"
		}
		return b.fillMembers(n, depth+1)
	case string:
		n.Kind, n.Text = "string", quoted(v)
	case json.Number:
		n.Kind, n.Text = "number", shortened(v.String())
	case bool:
		n.Kind, n.Text = "boolean", "false"
		if v {
			n.Text = "true"
		}
	default:
		n.Kind, n.Text = "null", "null"
	}
	return nil
}

func (b *treeBuilder) fillMembers(n *node, depth int) error {
	for i := 0; b.decoder.More(); i++ {
		if b.left <= 0 || depth > maxTreeDepth {
			n.More = true
			return errTreeFull
		}
		child := &node{Name: strconv.Itoa(i)}
		if n.Kind == "object" {
			token, err := b.decoder.Token()
			if err != nil {
				return err
			}
			name, _ := token.(string)
			child.Name = shortened(name)
		}
		n.Nodes = append(n.Nodes, child)
		if err := b.fill(child, depth); err != nil {
			n.More = n.More || errors.Is(err, errTreeFull)
			return err
		}
	}
	_, err := b.decoder.Token() // the end of it
	return err
}

func quoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(shortened(s)); err != nil {
		return shortened(s)
	}
	return string(bytes.TrimSpace(b.Bytes()))
}

func shortened(s string) string {
	if len(s) <= maxTreeText {
		return s
	}
	cut := maxTreeText
	for cut > 0 && s[cut]&0xc0 == 0x80 { // not within a character
		cut--
	}
	return s[:cut] + "…"
}
