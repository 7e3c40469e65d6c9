package codec

import (
	"encoding/json"
	"errors"
)

type jsonCodec struct{}

func (jsonCodec) Name() string   { return "json" }
func (jsonCodec) Identity() bool { return true }

func (jsonCodec) Encode(dst, decoded []byte) ([]byte, error) {
	if err := checkJSON(decoded); err != nil {
		return dst, err
	}
	return append(dst, decoded...), nil
}

func (jsonCodec) Decode(dst, encoded []byte) ([]byte, error) { return append(dst, encoded...), nil }

// checkJSON asks for UTF-8 apart from the syntax, since encoding/json lets ill-formed sequences within strings pass, which
// RFC 8259 (8.1) does not. Nesting is bounded by encoding/json, to 10,000 levels.
func checkJSON(b []byte) error {
	if !json.Valid(b) {
		return syntaxError(b)
	}
	return checkUTF8("json", b)
}

// syntaxError parses once more, for the position.
func syntaxError(b []byte) error {
	var raw json.RawMessage
	err := json.Unmarshal(b, &raw)
	fault := &InvalidError{Encoding: "json", Offset: len(b), Reason: "not one JSON text"}
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return fault
	}
	fault.Reason = syntax.Error()
	// encoding/json counts the byte that it stumbled over, and has none to count at the end of its input.
	if endsEarly := fault.Reason == "unexpected end of JSON input"; !endsEarly {
		fault.Offset = min(max(int(syntax.Offset)-1, 0), len(b))
	}
	return fault
}
