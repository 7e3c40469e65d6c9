package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is an amount of memory.
type Bytes int64

// AutoBytes asks for the cgroup's limit.
const AutoBytes Bytes = -1

var byteUnits = []struct {
	suffix string
	factor int64
}{
	{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40},
	{"K", 1e3}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12},
}

// ParseBytes parses whole bytes with an optional unit as Kubernetes writes them (Ki, Mi, Gi, Ti, k, M, G, T), and a B behind
// it; or "auto".
func ParseBytes(s string) (Bytes, error) {
	if s == "auto" {
		return AutoBytes, nil
	}
	number, factor := strings.TrimSuffix(s, "B"), int64(1)
	for _, u := range byteUnits {
		if n, ok := strings.CutSuffix(number, u.suffix); ok {
			number, factor = n, u.factor
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/factor {
		return 0, fmt.Errorf("%.64q is not an amount of memory such as 536870912, 512Mi, 2G or auto", s)
	}
	return Bytes(int64(n) * factor), nil
}

// String is what ParseBytes takes, in the largest binary unit that leaves no rest.
func (b Bytes) String() string {
	if b == AutoBytes {
		return "auto"
	}
	for _, u := range []string{"Ti", "Gi", "Mi", "Ki"} {
		f := map[string]Bytes{"Ti": 1 << 40, "Gi": 1 << 30, "Mi": 1 << 20, "Ki": 1 << 10}[u]
		if b > 0 && b%f == 0 {
			return strconv.FormatInt(int64(b/f), 10) + u
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// byteLimit is an amount that is not to be found out, and not less than min.
type byteLimit struct {
	p   *Bytes
	min Bytes
}

func (v byteLimit) parse(s string) error {
	b, err := ParseBytes(s)
	switch {
	case err != nil || b == AutoBytes:
		return fmt.Errorf("%.64q is not an amount of memory such as 67108864, 64Mi or 2G", s)
	case b < v.min:
		return fmt.Errorf("%s is less than %s", b, v.min)
	}
	*v.p = b
	return nil
}
func (v byteLimit) String() string { return v.p.String() }

// LeastMemory is the least --memory-limit: with less, the process alone is over it before it has a record.
const LeastMemory Bytes = 64 << 20

// byteSize is the memory limit: 0, auto, or LeastMemory at least.
type byteSize struct{ p *Bytes }

func (v byteSize) parse(s string) error {
	b, err := ParseBytes(s)
	if err != nil {
		return err
	}
	if b > 0 && b < LeastMemory {
		return fmt.Errorf("%s is less than %s, and the process alone takes about that, before any record; 0 is for no limit", b, LeastMemory)
	}
	*v.p = b
	return nil
}
func (v byteSize) String() string { return v.p.String() }
