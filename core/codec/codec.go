package codec

import (
	"errors"
	"fmt"
	"strings"
)

// Codec turns what a client sends into what the log holds, and back.
//
// Encode and Decode append to dst and return the extended slice; they neither keep nor change their input, which must not
// overlap with dst's free capacity. Where they fail they return dst as it was, and an error that wraps [ErrInvalid].
type Codec interface {
	// Name is the canonical name, as [ByName] takes it.
	Name() string
	// Encode checks decoded, which a client sent, and appends what the log is to hold.
	Encode(dst, decoded []byte) ([]byte, error)
	// Decode appends what clients are to see of encoded, which was read from the log.
	Decode(dst, encoded []byte) ([]byte, error)
	// Identity reports whether Encode and Decode, where they do not fail, yield the bytes they were given.
	Identity() bool
}

// ErrUnknown is the error of an encoding that does not exist, wrapped with its name and the known ones.
var ErrUnknown = errors.New("codec: unknown encoding")

// ErrInvalid is what every [*InvalidError] wraps.
var ErrInvalid = errors.New("codec: invalid input")

// InvalidError says where and why bytes are not what their encoding asks for.
type InvalidError struct {
	// Encoding is the codec's canonical name.
	Encoding string
	// Offset counts the bytes before the fault: it is the index of the first byte that is wrong, and the input's length
	// where the input ends too early.
	Offset int
	// Reason is one line, of bounded length whatever the input was.
	Reason string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("not valid %s at byte %d: %s", e.Encoding, e.Offset, e.Reason)
}

// Unwrap makes errors.Is(err, [ErrInvalid]) hold.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

var (
	// UTF8 checks both ways that the bytes are UTF-8, and keeps them.
	UTF8 Codec = utf8Codec{}
	// JSON checks on the way into the log that the bytes are one JSON text (RFC 8259) in UTF-8. What the log holds is served
	// verbatim and unchecked.
	JSON Codec = jsonCodec{}
	// Binary takes any bytes.
	Binary Codec = binaryCodec{}
)

var aliases = map[string]string{"utf8": "utf-8"}

// Names are the canonical names that [ByName] knows, in the order in which they are shown to people.
func Names() []string { return []string{UTF8.Name(), JSON.Name(), Binary.Name()} }

// ByName finds an encoding by its canonical name or its alias ("utf8" for "utf-8").
func ByName(name string) (Codec, error) {
	canonical := name
	if a, ok := aliases[name]; ok {
		canonical = a
	}
	for _, c := range []Codec{UTF8, JSON, Binary} {
		if c.Name() == canonical {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%w: %.64q is none of %s", ErrUnknown, name, strings.Join(Names(), ", "))
}
