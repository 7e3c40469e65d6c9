package codec

import (
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

type person struct {
	ID   string   `json:"id"`
	Age  int      `json:"age,omitempty"`
	Tags []string `json:"tags,omitempty"`
}

func TestTypedJSON(t *testing.T) {
	users := JSON[person]()
	b, err := users.Append([]byte("dst:"), person{ID: "<a&b>", Tags: []string{"x"}})
	if want := `dst:{"id":"<a&b>","tags":["x"]}`; err != nil || string(b) != want {
		t.Errorf("Append = %q, %v; want %q", b, err, want)
	}
	v, err := users.Parse([]byte(` {"id":"a","age":7,"more":true} `))
	if err != nil || v.ID != "a" || v.Age != 7 {
		t.Errorf("Parse = %+v, %v", v, err)
	}
	for in, offset := range map[string]int{`{"id":`: 6, `{"id":1}`: 7, `[]`: 1, `{} {}`: 3, ``: 0, `{"age":1e` + strings.Repeat("9", 500) + `}`: 509} {
		v, err := users.Parse([]byte(in))
		var invalid *InvalidError
		if !errors.As(err, &invalid) || invalid.Offset != offset || v.ID != "" || len(err.Error()) > 250 {
			t.Errorf("Parse(%.20q) = %+v, %v; want offset %d", in, v, err, offset)
		}
	}
	if b, err := JSON[float64]().Append([]byte("dst:"), math.NaN()); err == nil || string(b) != "dst:" {
		t.Errorf("Append of what JSON cannot hold: %q, %v", b, err)
	}
	// What it writes is what the encoding takes.
	if _, err := JSONText.Encode(nil, b); err != nil && string(b) != "" {
		if _, err := JSONText.Encode(nil, b[4:]); err != nil {
			t.Error(err)
		}
	}
}

func TestTypedBytesAreCopied(t *testing.T) {
	in := []byte("abc")
	s, err := String().Parse(in)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Bytes().Parse(in)
	if err != nil {
		t.Fatal(err)
	}
	in[0] = 'X'
	if s != "abc" || string(b) != "abc" {
		t.Errorf("Parse keeps its input: %q, %q", s, b)
	}
	if b, err := Bytes().Parse(nil); err != nil || b == nil {
		t.Errorf("Parse of nothing = %v, %v; an empty value is not a missing one", b, err)
	}
	if out, err := String().Append([]byte("dst:"), "å"); err != nil || string(out) != "dst:å" {
		t.Errorf("String().Append = %q, %v", out, err)
	}
	if out, err := Bytes().Append([]byte("dst:"), []byte{0xff}); err != nil || string(out) != "dst:\xff" {
		t.Errorf("Bytes().Append = %q, %v", out, err)
	}
}

func TestTypedText(t *testing.T) {
	ids := Text[uuid.UUID]()
	const text = "8d7b6f0e-6c1d-4a2b-9f3e-2b1a0c9d8e7f"
	id, err := ids.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := ids.Append([]byte("dst:"), id); err != nil || string(b) != "dst:"+text {
		t.Errorf("Append = %q, %v", b, err)
	}
	id, err = ids.Parse([]byte(strings.Repeat("x\n", 500)))
	if !errors.Is(err, ErrInvalid) || id != uuid.Nil || strings.Contains(err.Error(), "\n") || len(err.Error()) > 250 {
		t.Errorf("Parse of no UUID = %v, %v", id, err)
	}
	// One that appends by itself.
	if b, err := Text[netip.Addr]().Append([]byte("dst:"), netip.MustParseAddr("::1")); err != nil || string(b) != "dst:::1" {
		t.Errorf("Append = %q, %v", b, err)
	}
	if b, err := Text[time.Time]().Append([]byte("dst:"), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil || string(b) != "dst:" {
		t.Errorf("Append of a year that the text has no room for = %q, %v", b, err)
	}
}
