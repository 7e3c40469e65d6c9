package codec

import (
	"errors"
	"fmt"
)

// ErrUnfit is the error of a codec that cannot be used where it is meant to be, wrapped with the reason.
var ErrUnfit = errors.New("codec: unfit")

// ValueOnly is a [Codec] that cannot encode keys. A key's bytes in the log are its identity: partition and compaction go by them. So the same key
// has to encode to the same bytes at any time and by any program.
type ValueOnly interface {
	Codec
	// ValueOnly says why not, as a clause that follows "since ".
	ValueOnly() string
}

// CheckKey is nil where keys may be encoded so, and [ErrUnfit] with the reason where not.
func CheckKey(c Codec) error {
	if v, ok := c.(ValueOnly); ok {
		return fmt.Errorf("%w: %s cannot encode keys, since %s", ErrUnfit, c.Name(), v.ValueOnly())
	}
	return nil
}

// maxName is what fits on a line of a log or a status.
const maxName = 64

// CheckName is nil where the codec is a built-in one, or its name is one that it can have: 1 to 64 printable ASCII characters
// without spaces, '=' and ',', and no name or alias of a built-in one. Otherwise the error wraps [ErrUnfit].
func CheckName(c Codec) error {
	name := c.Name()
	if name == "" || len(name) > maxName {
		return fmt.Errorf("%w: the name of a codec has 1 to %d characters, not %d", ErrUnfit, maxName, len(name))
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' || name[i] == '=' || name[i] == ',' {
			return fmt.Errorf("%w: the name of a codec is of printable ASCII characters without spaces, '=' and ',': %q", ErrUnfit, name)
		}
	}
	if known, err := ByName(name); err == nil && known != c {
		return fmt.Errorf("%w: %q is the name of a built-in encoding, and the codec is another", ErrUnfit, name)
	}
	return nil
}
