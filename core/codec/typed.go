package codec

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Typed turns values of a Go type into the decoded side of a [Codec], which is what clients of any kind see, and back. So it goes with
// whichever encoding the topic has: JSON[User]() with json, json.gzip and avro alike.
//
// A Typed is safe for concurrent use.
type Typed[T any] interface {
	// Append appends v to dst and returns the extended slice, and dst as it was where v cannot be written.
	Append(dst []byte, v T) ([]byte, error)
	// Parse is the value that b stands for. It keeps nothing of b. Its error wraps [ErrInvalid] where b stands for no T.
	Parse(b []byte) (T, error)
}

// JSON is T as encoding/json has it, except that <, > and & are written as they are, which JSON.stringify does too. Members that T does
// not have are passed over in Parse.
func JSON[T any]() Typed[T] { return typedJSON[T]{} }

// String is the bytes as a string. Whether they have to be UTF-8 is up to the topic's encoding.
func String() Typed[string] { return typedString{} }

// Bytes is the bytes themselves, copied. Parse never returns nil without an error.
func Bytes() Typed[[]byte] { return typedBytes{} }

// Text is a T that writes and reads itself as text, such as a uuid.UUID, a netip.Addr or a time.Time. Of keys, remember that the same value has
// to be written in the same way for ever.
func Text[T encoding.TextMarshaler, P interface {
	*T
	encoding.TextUnmarshaler
}]() Typed[T] {
	return typedText[T, P]{}
}

type typedJSON[T any] struct{}

// appender lets an Encoder append. The Encoder writes once, when the value is complete.
type appender struct{ b []byte }

func (a *appender) Write(b []byte) (int, error) {
	a.b = append(a.b, b...)
	return len(b), nil
}

func (typedJSON[T]) Append(dst []byte, v T) ([]byte, error) {
	out := appender{dst}
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return dst, fmt.Errorf("codec: write a %s as JSON: %w", reflect.TypeFor[T](), err)
	}
	return out.b[:len(out.b)-1], nil // the Encoder ends a line
}

func (typedJSON[T]) Parse(b []byte) (T, error) {
	var v T
	err := json.Unmarshal(b, &v)
	if err == nil {
		return v, nil
	}
	var none T
	if !json.Valid(b) {
		return none, syntaxError(b)
	}
	at := 0
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		at = min(max(int(kind.Offset), 0), len(b))
	}
	return none, &InvalidError{Encoding: "json", Offset: at, Reason: oneLine(fmt.Sprintf("no %s: %v", reflect.TypeFor[T](), err))}
}

type typedString struct{}

func (typedString) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }
func (typedString) Parse(b []byte) (string, error)              { return string(b), nil }

type typedBytes struct{}

func (typedBytes) Append(dst, v []byte) ([]byte, error) { return append(dst, v...), nil }
func (typedBytes) Parse(b []byte) ([]byte, error)       { return append([]byte{}, b...), nil }

type typedText[T encoding.TextMarshaler, P interface {
	*T
	encoding.TextUnmarshaler
}] struct{}

func (typedText[T, P]) Append(dst []byte, v T) ([]byte, error) {
	if a, ok := any(v).(encoding.TextAppender); ok {
		out, err := a.AppendText(dst)
		if err != nil {
			return dst, fmt.Errorf("codec: write a %s as text: %w", reflect.TypeFor[T](), err)
		}
		return out, nil
	}
	text, err := v.MarshalText()
	if err != nil {
		return dst, fmt.Errorf("codec: write a %s as text: %w", reflect.TypeFor[T](), err)
	}
	return append(dst, text...), nil
}

func (typedText[T, P]) Parse(b []byte) (T, error) {
	var v T
	if err := P(&v).UnmarshalText(b); err != nil {
		var none T
		return none, &InvalidError{Encoding: "text", Reason: oneLine(fmt.Sprintf("no %s: %v", reflect.TypeFor[T](), err))}
	}
	return v, nil
}

// maxReason bounds what others' errors say of an input.
const maxReason = 160

// oneLine is s on one line of bounded length.
func oneLine(s string) string {
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
