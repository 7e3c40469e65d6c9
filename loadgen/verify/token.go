package verify

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// token is the position of a topic in the form that KAFKA.WAIT takes: "1:<topic id>:<partition>.<next offset>,…".
func token(id [16]byte, next map[int32]int64) string {
	var b strings.Builder
	b.WriteString("1:" + base64.RawURLEncoding.EncodeToString(id[:]) + ":")
	for i, p := range slices.Sorted(maps.Keys(next)) {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d.%d", p, next[p])
	}
	return b.String()
}

// parseToken reads what KAFKA.POSITION replies. What stands behind the next offset, a leader epoch, is of no concern.
func parseToken(s string, id [16]byte) (map[int32]int64, error) {
	parts := strings.Split(s, ":")
	if len(parts) != 3 || parts[0] != "1" {
		return nil, fmt.Errorf("%.100q is not a position that is known here", s)
	}
	if parts[1] != base64.RawURLEncoding.EncodeToString(id[:]) {
		return nil, fmt.Errorf("the instance's topic has another id, %.22s", parts[1])
	}
	next := map[int32]int64{}
	if parts[2] == "" {
		return next, nil
	}
	for part := range strings.SplitSeq(parts[2], ",") {
		numbers := strings.Split(part, ".")
		if len(numbers) < 2 {
			return nil, fmt.Errorf("%.100q is not a partition with its next offset", part)
		}
		p, err := strconv.ParseInt(numbers[0], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%.100q is not a partition with its next offset", part)
		}
		n, err := strconv.ParseInt(numbers[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%.100q is not a partition with its next offset", part)
		}
		next[int32(p)] = n
	}
	return next, nil
}
