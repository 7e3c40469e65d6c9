package cel

import (
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/yolean/kafka-cache/core/policy/internal/jsondoc"
)

// object is a JSON object as a map of CEL.
type object struct {
	w *view
	n jsondoc.Node
}

var (
	_ traits.Mapper   = (*object)(nil)
	_ traits.Foldable = (*object)(nil)
)

func (o *object) find(name string) (jsondoc.Node, bool) {
	w := o.w
	if w.doc.Length(o.n) <= few {
		return w.doc.Member(o.n, name)
	}
	n, ok := o.index()[name]
	return n, ok
}

func (o *object) index() map[string]jsondoc.Node {
	w := o.w
	index, ok := w.members[o.n]
	if !ok {
		index = make(map[string]jsondoc.Node, w.doc.Length(o.n))
		w.doc.Members(o.n, func(name string, value jsondoc.Node) bool {
			index[name] = value
			return true
		})
		if w.members == nil {
			w.members = map[jsondoc.Node]map[string]jsondoc.Node{}
		}
		w.members[o.n] = index
	}
	return index
}

// FindStringKey is what a selection asks.
func (o *object) FindStringKey(name string) (any, bool) {
	n, ok := o.find(name)
	if !ok {
		return nil, false
	}
	return o.w.at(n), true
}

// Find is the value of a member.
func (o *object) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	n, ok := o.find(string(name))
	if !ok {
		return nil, false
	}
	return o.w.at(n), true
}

// Get is the value of a member, or an error.
func (o *object) Get(key ref.Val) ref.Val {
	v, ok := o.Find(key)
	if !ok {
		return types.NewErr("no such key: %v", key)
	}
	return v
}

// Contains tells whether there is such a member.
func (o *object) Contains(key ref.Val) ref.Val {
	name, ok := key.(types.String)
	if !ok {
		return types.False
	}
	_, ok = o.find(string(name))
	return types.Bool(ok)
}

func (o *object) size() int {
	if o.w.doc.Length(o.n) > few {
		return len(o.index())
	}
	size := 0
	o.w.doc.Members(o.n, func(string, jsondoc.Node) bool {
		size++
		return true
	})
	return size
}

// Size is how many members there are.
func (o *object) Size() ref.Val { return types.Int(o.size()) }

// IsZeroValue tells whether there are none.
func (o *object) IsZeroValue() bool { return o.w.doc.Length(o.n) == 0 }

// Fold goes through the members, in the order of the text.
func (o *object) Fold(f traits.Folder) {
	o.w.doc.Members(o.n, func(name string, value jsondoc.Node) bool {
		return f.FoldEntry(types.String(name), o.w.at(value))
	})
}

// Iterator goes through the names, in the order of the text.
func (o *object) Iterator() traits.Iterator {
	names := make([]string, 0, o.w.doc.Length(o.n))
	o.w.doc.Members(o.n, func(name string, _ jsondoc.Node) bool {
		names = append(names, name)
		return true
	})
	return types.NewStringList(types.DefaultTypeAdapter, names).Iterator()
}

// Equal compares with any map.
func (o *object) Equal(other ref.Val) ref.Val {
	m, ok := other.(traits.Mapper)
	if !ok || m.Size() != o.Size() {
		return types.False
	}
	equal := types.True
	o.w.doc.Members(o.n, func(name string, value jsondoc.Node) bool {
		v, found := m.Find(types.String(name))
		if !found {
			equal = types.False
			return false
		}
		if types.Equal(o.w.at(value), v) != types.True {
			equal = types.False
		}
		return equal == types.True
	})
	return equal
}

// Type is map.
func (o *object) Type() ref.Type { return types.MapType }

// Value is all of it, for who cannot do with less.
func (o *object) Value() any { return o.w.doc.Any(o.n) }

// ConvertToType is what type() asks.
func (o *object) ConvertToType(t ref.Type) ref.Val { return convert(o, t, types.MapType) }

// ConvertToNative has no use here.
func (o *object) ConvertToNative(t reflect.Type) (any, error) { return native(o, t) }
