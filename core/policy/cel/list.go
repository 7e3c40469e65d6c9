package cel

import (
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/yolean/kafka-cache/core/policy/internal/jsondoc"
)

// list is a JSON array as a list of CEL.
type list struct {
	w *view
	n jsondoc.Node
}

var (
	_ traits.Lister   = (*list)(nil)
	_ traits.Foldable = (*list)(nil)
)

func (l *list) item(i int) (jsondoc.Node, bool) {
	w := l.w
	length := w.doc.Length(l.n)
	if i < 0 || i >= length {
		return 0, false
	}
	if length <= few {
		return w.doc.Item(l.n, i)
	}
	index, ok := w.items[l.n]
	if !ok {
		index = make([]jsondoc.Node, length)
		n := l.n + 1
		for j := range index {
			index[j] = n
			n = w.doc.Next(n)
		}
		if w.items == nil {
			w.items = map[jsondoc.Node][]jsondoc.Node{}
		}
		w.items[l.n] = index
	}
	return index[i], true
}

// GetInt64Index is what an index asks that is a literal.
func (l *list) GetInt64Index(i int64) (any, bool) {
	if int64(int(i)) != i {
		return nil, false
	}
	n, ok := l.item(int(i))
	if !ok {
		return nil, false
	}
	return l.w.at(n), true
}

// Get is an item, or an error.
func (l *list) Get(index ref.Val) ref.Val {
	i, err := types.GetOrError(index)
	if err != nil {
		return types.WrapErr(err)
	}
	n, ok := l.item(i)
	if !ok {
		return types.NewErr("index out of bounds: %v", i)
	}
	return l.w.at(n)
}

// each calls f with the items until it returns false.
func (l *list) each(f func(i int, v ref.Val) bool) {
	n := l.n + 1
	for i := range l.w.doc.Length(l.n) {
		if !f(i, l.w.at(n)) {
			return
		}
		n = l.w.doc.Next(n)
	}
}

// Contains tells whether an item equals v.
func (l *list) Contains(v ref.Val) ref.Val {
	found := types.False
	l.each(func(_ int, item ref.Val) bool {
		if types.Equal(v, item) == types.True {
			found = types.True
		}
		return found == types.False
	})
	return found
}

// Size is how many items there are.
func (l *list) Size() ref.Val { return types.Int(l.w.doc.Length(l.n)) }

// IsZeroValue tells whether there are none.
func (l *list) IsZeroValue() bool { return l.w.doc.Length(l.n) == 0 }

// Fold goes through the items.
func (l *list) Fold(f traits.Folder) {
	l.each(func(i int, v ref.Val) bool { return f.FoldEntry(types.Int(i), v) })
}

func (l *list) all() []ref.Val {
	items := make([]ref.Val, 0, l.w.doc.Length(l.n))
	l.each(func(_ int, v ref.Val) bool {
		items = append(items, v)
		return true
	})
	return items
}

// Iterator goes through the items.
func (l *list) Iterator() traits.Iterator {
	return types.NewRefValList(types.DefaultTypeAdapter, l.all()).Iterator()
}

// Add is the two lists behind each other.
func (l *list) Add(other ref.Val) ref.Val {
	if _, ok := other.(traits.Lister); !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	return types.NewRefValList(types.DefaultTypeAdapter, l.all()).Add(other)
}

// Equal compares with any list.
func (l *list) Equal(other ref.Val) ref.Val {
	o, ok := other.(traits.Lister)
	if !ok || o.Size() != l.Size() {
		return types.False
	}
	equal := types.True
	l.each(func(i int, v ref.Val) bool {
		if types.Equal(v, o.Get(types.Int(i))) != types.True {
			equal = types.False
		}
		return equal == types.True
	})
	return equal
}

// Type is list.
func (l *list) Type() ref.Type { return types.ListType }

// Value is all of it, for who cannot do with less.
func (l *list) Value() any { return l.w.doc.Any(l.n) }

// ConvertToType is what type() asks.
func (l *list) ConvertToType(t ref.Type) ref.Val { return convert(l, t, types.ListType) }

// ConvertToNative has no use here.
func (l *list) ConvertToNative(t reflect.Type) (any, error) { return native(l, t) }
