package jq

import (
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/itchyny/gojq"

	"github.com/yolean/kafka-cache/core/policy"
)

// Names of the functions that refuse what a program may not make, see prelude.
const (
	checkTotalName = "_check_total"
	checkJoinName  = "_check_join"
	checkRowsName  = "_check_rows"
	checkIndexName = "_check_index"
	checkEventName = "_check_event"
)

// maxIndex is the greatest index of an array that a record may make: one that long is of policy.MaxYieldBytes.
const maxIndex = policy.MaxYieldBytes / elementBytes

// maxProduct is how many bytes the factors of a product may have: numbers are of any size, and one that is squared has twice the digits.
const maxProduct = 4096

// What elements of arrays and members of objects count for, beside what they hold.
const (
	elementBytes = 16
	memberBytes  = 64
)

var errValueSize = fmt.Errorf("a value of more than %d bytes", policy.MaxYieldBytes)

var checks = []gojq.CompilerOption{
	gojq.WithFunction(checkName, 3, 3, checkSize),
	gojq.WithFunction(checkTotalName, 0, 0, checkTotal),
	gojq.WithFunction(checkJoinName, 1, 1, checkJoin),
	gojq.WithFunction(checkRowsName, 0, 0, checkRows),
	gojq.WithFunction(checkIndexName, 0, 0, checkIndex),
	gojq.WithFunction(checkEventName, 0, 0, checkEvent),
}

// left is what is left of a number of bytes once all that v holds is taken from it; below 0 it is not looked further. What v holds twice counts twice: so it
// does where it is written.
func left(bytes int, v any) int {
	switch v := v.(type) {
	case string:
		bytes -= len(v)
	case []any:
		bytes -= elementBytes * len(v)
		for i := 0; i < len(v) && bytes >= 0; i++ {
			bytes = left(bytes, v[i])
		}
	case map[string]any:
		bytes -= memberBytes * len(v)
		for k, e := range v {
			if bytes < 0 {
				break
			}
			bytes = left(bytes-len(k), e)
		}
	}
	return bytes
}

// checkTotal refuses a value that holds too much to be written, joined or added up.
func checkTotal(v any, _ []any) any {
	if left(policy.MaxYieldBytes, v) < 0 {
		return errValueSize
	}
	return v
}

// checkJoin is checkTotal with a separator between the elements.
func checkJoin(v any, args []any) any {
	bytes := left(policy.MaxYieldBytes, v)
	if s, ok := args[0].(string); ok && bytes >= 0 {
		if a, ok := v.([]any); ok && len(s) > 0 && len(a) > bytes/len(s) {
			bytes = -1
		}
	}
	if bytes < 0 {
		return errValueSize
	}
	return v
}

// checkRows refuses a matrix that would be too large with its rows filled up to the longest.
func checkRows(v any, _ []any) any {
	rows, _ := v.([]any)
	longest := 0
	for _, row := range rows {
		if r, ok := row.([]any); ok {
			longest = max(longest, len(r))
		}
	}
	if longest > 0 && len(rows) > maxIndex/longest {
		return errValueSize
	}
	return v
}

// checkIndex refuses an index, or a path with one, that would make an array too long.
func checkIndex(v any, _ []any) any {
	if path, ok := v.([]any); ok {
		for _, e := range path {
			if err := indexError(e); err != nil {
				return err
			}
		}
		return v
	}
	if err := indexError(v); err != nil {
		return err
	}
	return v
}

// checkEvent is checkIndex for what fromstream reads: a path, alone or with a value.
func checkEvent(v any, _ []any) any {
	if event, ok := v.([]any); ok && len(event) > 0 {
		if path, ok := event[0].([]any); ok {
			if err, ok := checkIndex(path, nil).(error); ok {
				return err
			}
		}
	}
	return v
}

func indexError(v any) error {
	switch v.(type) {
	case nil, bool, string, []any, map[string]any:
		return nil
	}
	if n, ok := gojq.ToFloat64(v); ok && n > maxIndex {
		return fmt.Errorf("an index of more than %d", maxIndex)
	}
	return nil
}

// checkSize is the function that refuses operands whose result would be too large.
func checkSize(v any, args []any) any {
	size := func(v any) int {
		switch v := v.(type) {
		case string:
			return len(v)
		case []any:
			return elementBytes * len(v)
		case map[string]any:
			return memberBytes * len(v)
		}
		return 0
	}
	l, r := args[0], args[1]
	total := size(l) + size(r)
	if args[2] == true { // numbers grow, and a string is repeated
		if digits(l)+digits(r) > maxProduct {
			return fmt.Errorf("a product of numbers of more than %d bytes", maxProduct)
		}
		for _, operands := range [2][2]any{{l, r}, {r, l}} {
			if s, ok := operands[0].(string); ok {
				if n, ok := gojq.ToFloat64(operands[1]); ok && n > 0 {
					if float64(len(s))*n > policy.MaxYieldBytes {
						total = policy.MaxYieldBytes + 1
					}
				}
			}
		}
	}
	if total > policy.MaxYieldBytes {
		return errValueSize
	}
	return v
}

// digits is about the length of a whole number in bytes.
func digits(v any) int {
	switch v := v.(type) {
	case *big.Int:
		return v.BitLen() / 8
	case json.Number:
		return len(v)
	}
	return 0
}
