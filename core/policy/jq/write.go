package jq

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/yolean/kafka-cache/core/policy"
)

// maxDepth bounds how deep an output may be nested. encoding/json reads no deeper.
const maxDepth = 10_000

// writer writes outputs as JSON. It stops where they come to more than a record may yield: what is small in memory, since parts of it are
// the same, can be large when it is written out.
type writer struct{ b []byte }

func (w *writer) value(v any, depth int) error {
	if len(w.b) > policy.MaxYieldBytes {
		return fmt.Errorf("%w: more than %d bytes", policy.ErrYields, policy.MaxYieldBytes)
	}
	if depth > maxDepth {
		return fmt.Errorf("the program yields a value that is nested more than %d deep", maxDepth)
	}
	switch v := v.(type) {
	case nil:
		w.b = append(w.b, "null"...)
	case bool:
		w.b = strconv.AppendBool(w.b, v)
	case int:
		w.b = strconv.AppendInt(w.b, int64(v), 10)
	case *big.Int:
		w.b = v.Append(w.b, 10)
	case json.Number: // as it stands in the record
		w.b = append(w.b, v...)
	case float64:
		w.float(v)
	case string:
		w.string(v)
	case []any:
		w.b = append(w.b, '[')
		for i, e := range v {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			if err := w.value(e, depth+1); err != nil {
				return err
			}
		}
		w.b = append(w.b, ']')
	case map[string]any:
		w.b = append(w.b, '{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			w.string(k)
			w.b = append(w.b, ':')
			if err := w.value(v[k], depth+1); err != nil {
				return err
			}
		}
		w.b = append(w.b, '}')
	default:
		return fmt.Errorf("the program yields a %T", v)
	}
	return nil
}

// float is a number as jq and JavaScript write it; what JSON has no way to write is what jq makes of it.
func (w *writer) float(f float64) {
	switch {
	case math.IsNaN(f):
		w.b = append(w.b, "null"...)
		return
	case f > math.MaxFloat64:
		f = math.MaxFloat64
	case f < -math.MaxFloat64:
		f = -math.MaxFloat64
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e17) {
		format = 'e'
	}
	w.b = strconv.AppendFloat(w.b, f, format, -1, 64)
}

const hexDigits = "0123456789abcdef"

func (w *writer) string(s string) {
	w.b = append(w.b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				w.b = append(append(w.b, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		w.b = append(w.b, s[start:i]...)
		switch c {
		case '"', '\\':
			w.b = append(w.b, '\\', c)
		case '\n':
			w.b = append(w.b, '\\', 'n')
		case '\r':
			w.b = append(w.b, '\\', 'r')
		case '\t':
			w.b = append(w.b, '\\', 't')
		default:
			w.b = append(w.b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	w.b = append(append(w.b, s[start:]...), '"')
}
