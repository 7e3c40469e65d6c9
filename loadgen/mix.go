package loadgen

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Operation is what one request does.
type Operation int

// The operations, in the order in which they are reported.
const (
	Get  Operation = iota // GET of a key
	MGet                  // MGET of several
	Set                   // SET of a later revision of a record, under its key
	Del                   // DEL of a key
	Scan                  // one page of SCAN, from where the connection's last one ended
	operations
)

var operationNames = [operations]string{"get", "mget", "set", "del", "scan"}

// String is the operation's name in a mix.
func (o Operation) String() string { return operationNames[o] }

// Operations are all of them.
func Operations() []Operation { return []Operation{Get, MGet, Set, Del, Scan} }

// Mix is how often each operation is chosen, as weights.
type Mix [operations]int

// ParseMix parses what [Mix.String] prints: "get=80,set=10". What is not named is not done.
func ParseMix(s string) (Mix, error) {
	var m Mix
	seen := map[string]bool{}
	for part := range strings.SplitSeq(s, ",") {
		name, weight, ok := strings.Cut(strings.TrimSpace(part), "=")
		o, known := operationOf(name)
		n, err := strconv.Atoi(weight)
		if !ok || !known || err != nil || n < 0 || n > 1_000_000 || seen[name] {
			return m, fmt.Errorf("loadgen: %.64q in a mix: each of %s once, with a weight, as in get=80,set=10", part, strings.Join(operationNames[:], ", "))
		}
		seen[name] = true
		m[o] = n
	}
	if m.total() == 0 {
		return m, errors.New("loadgen: a mix of nothing")
	}
	return m, nil
}

func operationOf(name string) (Operation, bool) {
	for o, n := range operationNames {
		if n == name {
			return Operation(o), true
		}
	}
	return 0, false
}

// String names the operations that have a weight.
func (m Mix) String() string {
	var parts []string
	for o, n := range m {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", operationNames[o], n))
		}
	}
	return strings.Join(parts, ",")
}

func (m Mix) total() (n int) {
	for _, w := range m {
		n += w
	}
	return n
}

// pick draws an operation; total is m.total().
func (m *Mix) pick(r *rand.Rand, total int) Operation {
	n := r.IntN(total)
	for o, w := range m {
		if n < w {
			return Operation(o)
		}
		n -= w
	}
	panic("loadgen: total is not the mix's")
}
