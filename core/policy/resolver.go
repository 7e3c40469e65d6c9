package policy

import (
	"errors"
	"fmt"
)

// Resolver turns a record into what readers see of it: a value of its own key, values of other keys, or both.
//
// It has to be a function of the record: instances that run it on the same record must get the same. What an earlier record of
// the same key yielded, and the newer one does not, is taken away in the same commit; a tombstone takes all of it away.
type Resolver struct {
	// Name identifies what it does, its program's text or a name with a version: a store that was made with another one is
	// made anew from the log. It must not be empty.
	Name string
	// OwnKey promises that it yields the record's own key and no other. The store then holds nothing beside the values;
	// otherwise it also holds, for each record, all that it has yielded.
	OwnKey bool
	// Resolve adds what the record yields to y. It may be called by several goroutines at once, and neither r's bytes nor y
	// may be kept. An error is the record's, not the caller's: the record meets the topic's policy. Where it is a
	// [*Refusal], its path is told as well.
	Resolve func(r *Record, y *Yields) error
}

// Bounds of what one record may yield, so that no record can take an instance down.
const (
	MaxYields     = 10_000
	MaxYieldBytes = 16 << 20 // keys and values together
)

// ErrYields is wrapped by the errors of a record that yields more than MaxYields or MaxYieldBytes, an empty key, or, where
// [Resolver.OwnKey] was promised, another key.
var ErrYields = errors.New("policy: what the record yields")

// Yields gathers what one record yields. Where a key is yielded more than once the last value counts. The zero value is
// empty. It is not safe for concurrent use.
type Yields struct {
	own    []byte
	hasOwn bool
	all    []Yield
	bytes  int
	err    error
}

// Yield is a value of a key.
type Yield struct {
	Key, Value []byte
}

// Own makes value what readers see of the record's own key. The bytes are kept, not copied.
func (y *Yields) Own(value []byte) {
	y.bytes += len(value)
	y.own, y.hasOwn = value, true
	y.bound()
}

// Set makes value what readers see of key, unless another record that counts more yields that key too. The bytes are kept, not copied.
func (y *Yields) Set(key, value []byte) {
	if len(key) == 0 && y.err == nil {
		y.err = fmt.Errorf("%w: an empty key", ErrYields)
	}
	y.bytes += len(key) + len(value)
	y.all = append(y.all, Yield{key, value})
	y.bound()
}

func (y *Yields) bound() {
	switch {
	case y.err != nil:
	case len(y.all) > MaxYields:
		y.err = fmt.Errorf("%w: more than %d changes", ErrYields, MaxYields)
	case y.bytes > MaxYieldBytes:
		y.err = fmt.Errorf("%w: more than %d bytes", ErrYields, MaxYieldBytes)
	}
}

// Err is the first bound that was passed, nil where none was. A resolver that yields in a loop should ask.
func (y *Yields) Err() error { return y.err }

// Value is what was given to Own, and whether anything was.
func (y *Yields) Value() ([]byte, bool) { return y.own, y.hasOwn }

// Others are what was given to Set, in that order. The slice is valid until Reset.
func (y *Yields) Others() []Yield { return y.all }

// Reset empties it, for another record.
func (y *Yields) Reset() {
	clear(y.all)
	*y = Yields{all: y.all[:0]}
}
