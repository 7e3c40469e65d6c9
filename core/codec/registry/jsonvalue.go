package registry

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/yolean/kafka-cache/core/codec"
)

// jsonValue is JSON behind the id of a schema. What the log has is served as it is, with no need of the schema; a write is validated.
type jsonValue struct{ value }

// Encode implements codec.Codec.
func (v *jsonValue) Encode(dst, decoded []byte) ([]byte, error) {
	s, err := v.latest()
	if err != nil {
		return dst, err
	}
	out, err := codec.JSONText.Encode(appendHeader(dst, s.id), decoded)
	if err != nil {
		var invalid *codec.InvalidError
		if errors.As(err, &invalid) {
			return dst, v.invalid(invalid.Offset, "%s", invalid.Reason)
		}
		return dst, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(decoded))
	if err != nil {
		return dst, v.invalid(0, "%s", oneLine(err.Error()))
	}
	if err := s.json.Validate(document); err != nil {
		return dst, v.invalid(0, "%s (schema %d)", violation(err), s.id)
	}
	return out, nil
}

// Decode implements codec.Codec.
func (v *jsonValue) Decode(dst, encoded []byte) ([]byte, error) {
	if _, err := v.parse(encoded); err != nil {
		return dst, err
	}
	return append(dst, encoded[header:]...), nil
}

// violation names the first thing that is wrong, with its path (a JSON pointer).
func violation(err error) string {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return oneLine(err.Error())
	}
	for len(invalid.Causes) > 0 {
		invalid = invalid.Causes[0]
	}
	told := invalid.DetailedOutput()
	if told.InstanceLocation == "" {
		return oneLine(fmt.Sprint(told.Error))
	}
	return oneLine(fmt.Sprintf("%.100s: %v", told.InstanceLocation, told.Error))
}
