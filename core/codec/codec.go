package codec

import (
	"errors"
	"fmt"
	"strings"
)

// Codec turns what a client sends into what the log holds, and back.
//
// Encode and Decode append to dst and return the extended slice; they neither keep nor change their input, which must not
// overlap with dst's free capacity. Where they fail they return dst as it was, and an error that wraps [ErrInvalid], or
// [ErrUnavailable] where that is for the moment.
//
// What Encode takes, Decode gives back; the built-in encodings give back the very same bytes, so that a key that was written can be
// read under the name that it was written under. Two spellings of the same thing ("FF" and "ff" in hex) are therefore not both taken.
type Codec interface {
	// Name is the canonical name, as [ByName] takes it. It belongs to the identity of what is stored: another name means that the log is
	// read anew, so codecs that decode differently need different names, and one codec keeps its name. See [CheckName].
	Name() string
	// Encode checks decoded, which a client sent, and appends what the log is to hold.
	Encode(dst, decoded []byte) ([]byte, error)
	// Decode appends what clients are to see of encoded, which was read from the log. Every record passes it on its way in: it must not
	// panic on any bytes, must be bounded in what it appends (see [MaxDecoded]), and should not allocate. It is called by several goroutines.
	Decode(dst, encoded []byte) ([]byte, error)
	// Identity reports whether Encode and Decode, where they do not fail, yield the bytes they were given.
	Identity() bool
}

// MaxDecoded is how many bytes one record may decode to where an encoding compresses: more is [ErrInvalid], in both directions.
const MaxDecoded = 32 << 20

// ErrUnknown is the error of an encoding that does not exist, wrapped with its name and the known ones.
var ErrUnknown = errors.New("codec: unknown encoding")

// ErrInvalid is what every [*InvalidError] wraps.
var ErrInvalid = errors.New("codec: invalid input")

// InvalidError says where and why bytes are not what their encoding asks for.
type InvalidError struct {
	// Encoding is the codec's canonical name.
	Encoding string
	// Offset counts the bytes before the fault: it is the index of the first byte that is wrong, and the input's length
	// where the input ends too early. In compressed bytes it is how far the decoder had read.
	Offset int
	// Reason is one line, of bounded length whatever the input was.
	Reason string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("not valid %s at byte %d: %s", e.Encoding, e.Offset, e.Reason)
}

// Unwrap makes errors.Is(err, [ErrInvalid]) hold.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

// The built-in encodings. docs/encodings.md has what each takes and refuses.
var (
	// UTF8 checks both ways that the bytes are UTF-8, and keeps them.
	UTF8 Codec = utf8Codec{}
	// JSONText checks on the way into the log that the bytes are one JSON text (RFC 8259) in UTF-8. What the log holds is served
	// verbatim and unchecked. [JSON] is for Go values.
	JSONText Codec = jsonCodec{}
	// Binary takes any bytes.
	Binary Codec = binaryCodec{"binary"}
	// ID is Binary under the name that the original has for passing values through.
	ID Codec = binaryCodec{"id"}
	// Hex shows the log's bytes as lower-case hexadecimal digits.
	Hex Codec = hexCodec{}
	// Base64 shows the log's bytes in the standard alphabet with padding (RFC 4648, 4).
	Base64 Codec = base64Codec{}
	// ASCII checks both ways that every byte is below 0x80, and keeps them.
	ASCII Codec = asciiCodec{}
	// UTF16LE shows UTF-16 in little-endian order as UTF-8.
	UTF16LE Codec = utf16Codec{}
	// JSONGzip is JSONText, compressed with gzip (RFC 1952) in the log. It is for values alone.
	JSONGzip Codec = gzipCodec{}
)

// builtin has them in the order in which they are shown to people.
var builtin = []Codec{UTF8, JSONText, Binary, ID, Hex, Base64, ASCII, UTF16LE, JSONGzip}

// aliases are the other names that the original takes for them. It has "ucs2" for what has been UTF-16, with surrogate pairs, for as long as
// it exists; "kafka-cache.json.gzip" is its name for its own addition.
var aliases = map[string]string{
	"utf8": "utf-8", "none": "id", "ucs2": "utf16le", "ucs-2": "utf16le", "utf-16le": "utf16le", "kafka-cache.json.gzip": "json.gzip",
}

// Names are the canonical names that [ByName] knows, in the order in which they are shown to people.
func Names() []string { return names(builtin) }

// KeyNames are those of Names that keys may have, see [CheckKey].
func KeyNames() []string {
	var keys []Codec
	for _, c := range builtin {
		if CheckKey(c) == nil {
			keys = append(keys, c)
		}
	}
	return names(keys)
}

func names(codecs []Codec) []string {
	all := make([]string, len(codecs))
	for i, c := range codecs {
		all[i] = c.Name()
	}
	return all
}

// Canonical is the name that an alias stands for, and any other name itself.
func Canonical(name string) string {
	if canonical, ok := aliases[name]; ok {
		return canonical
	}
	return name
}

// ByName finds a built-in encoding by its canonical name or an alias of it ("utf8" for "utf-8").
func ByName(name string) (Codec, error) {
	canonical := Canonical(name)
	for _, c := range builtin {
		if c.Name() == canonical {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%w: %.64q is none of %s", ErrUnknown, name, strings.Join(Names(), ", "))
}
