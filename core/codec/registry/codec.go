package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/codec/registry/internal/avrojson"
)

// Names of the encodings, as a configuration has them.
const (
	Avro       = "avro"
	JSONSchema = "json-schema"
)

// Names are all of them, in the order in which they are shown to people.
func Names() []string { return []string{Avro, JSONSchema} }

// Use says what a codec is for.
type Use struct {
	// Topic is the topic whose values it encodes. Its subject is TOPIC-value (Confluent's TopicNameStrategy).
	Topic string
	// ReadOnly spares asking for the latest schema of the subject. Encode refuses everything.
	ReadOnly bool
}

// Codec is the encoding of that name for a topic's values. An unknown name is codec.ErrUnknown. While it is used for writing, its Run has to be running,
// which keeps the latest schema of the subject up to date; a cache.Cache sees to that.
func (r *Registry) Codec(name string, use Use) (codec.Codec, error) {
	v := value{registry: r, name: name}
	if !use.ReadOnly {
		v.subject = newSubject(r, use.Topic+"-value")
	}
	switch name {
	case Avro:
		v.kind = sr.TypeAvro
		return &avroValue{v}, nil
	case JSONSchema:
		v.kind = sr.TypeJSON
		return &jsonValue{v}, nil
	}
	return nil, fmt.Errorf("%w: %.64q is none of %s, %s", codec.ErrUnknown, name, Avro, JSONSchema)
}

// header is the magic byte and the id.
const header = 5

// value is what both encodings have in common.
type value struct {
	registry *Registry
	name     string
	kind     sr.SchemaType
	subject  *subject // nil: not for writing
}

// Name implements codec.Codec.
func (v *value) Name() string { return v.name }

// Identity implements codec.Codec.
func (v *value) Identity() bool { return false }

// ValueOnly implements codec.ValueOnly.
func (v *value) ValueOnly() string {
	return "the id of a schema is part of the bytes, and another version of the schema would make another key"
}

// Run implements codec.Runner.
func (v *value) Run(ctx context.Context) {
	if v.subject == nil {
		<-ctx.Done()
		return
	}
	v.subject.run(ctx)
}

func (v *value) invalid(offset int, format string, args ...any) error {
	return &codec.InvalidError{Encoding: v.name, Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// parse is the id that bytes of the log begin with.
func (v *value) parse(encoded []byte) (id int, err error) {
	switch {
	case len(encoded) > 0 && encoded[0] != 0:
		return 0, v.invalid(0, "it begins with 0x%02x and not with the byte 0 and the id of a schema", encoded[0])
	case len(encoded) < header:
		return 0, v.invalid(len(encoded), "it ends within the id of its schema")
	}
	n := binary.BigEndian.Uint32(encoded[1:])
	if n > math.MaxInt32 {
		return 0, v.invalid(1, "%d is no id of a schema", n)
	}
	return int(n), nil
}

// latest is the schema to write with. It does not wait.
func (v *value) latest() (*schema, error) {
	if v.subject == nil {
		return nil, v.invalid(0, "the topic is read-only here, and its schema not asked for")
	}
	s, err := v.subject.latest()
	switch {
	case errors.Is(err, errMissing):
		return nil, v.invalid(0, "%s", oneLine(err.Error()))
	case err != nil:
		return nil, err
	case s.kind != v.kind:
		return nil, v.invalid(0, "the latest schema of subject %.100s, %d, is of type %s and not %s", v.subject.name, s.id, s.kind, v.kind)
	case s.unusable != "":
		return nil, v.invalid(0, "the latest schema of subject %.100s, %d, cannot be used: %s", v.subject.name, s.id, s.unusable)
	}
	return s, nil
}

func appendHeader(dst []byte, id int) []byte {
	return binary.BigEndian.AppendUint32(append(dst, 0), uint32(id))
}

type avroValue struct{ value }

// Encode implements codec.Codec.
func (v *avroValue) Encode(dst, decoded []byte) ([]byte, error) {
	s, err := v.latest()
	if err != nil {
		return dst, err
	}
	out, err := s.avro.AppendAvro(appendHeader(dst, s.id), decoded)
	if err != nil {
		var f *avrojson.Fault
		if errors.As(err, &f) {
			return dst, v.invalid(f.Offset, "%s (schema %d)", f.Reason(), s.id)
		}
		return dst, err
	}
	return out, nil
}

// Decode implements codec.Codec.
func (v *avroValue) Decode(dst, encoded []byte) ([]byte, error) {
	id, err := v.parse(encoded)
	if err != nil {
		return dst, err
	}
	s := v.registry.cache.get(id)
	switch {
	case s == nil:
		return dst, fmt.Errorf("%w: schema %d has not been looked up", codec.ErrUnavailable, id)
	case s.unusable != "":
		return dst, v.invalid(1, "schema %d cannot be used: %s", id, s.unusable)
	case s.kind != v.kind:
		return dst, v.invalid(1, "schema %d is of type %s and not %s", id, s.kind, v.kind)
	}
	out, err := s.avro.AppendJSON(dst, encoded[header:], codec.MaxDecoded)
	if err != nil {
		var f *avrojson.Fault
		if errors.As(err, &f) {
			return dst, v.invalid(header+f.Offset, "%s (schema %d)", f.Reason(), id)
		}
		return dst, err
	}
	return out, nil
}

// Await implements codec.Awaiter.
func (v *avroValue) Await(ctx context.Context, encoded []byte) error {
	id, err := v.parse(encoded)
	if err != nil {
		return err
	}
	_, err = v.registry.lookUp(ctx, id)
	return err
}
