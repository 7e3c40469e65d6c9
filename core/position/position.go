package position

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// ErrToken is the error of a token that does not parse; it is wrapped with what was wrong.
var ErrToken = errors.New("position: malformed token")

// UnknownEpoch stands for a leader epoch that is not known, as in a produce reply.
const UnknownEpoch int32 = -1

// maxTokenPartitions bounds what a token can make its parser allocate.
const maxTokenPartitions = 1 << 16

const tokenVersion = "1"

// TopicID is Kafka's id of one incarnation of a topic (KIP-516). The zero value means that it is not known.
type TopicID [16]byte

// IsZero reports whether the id is unknown.
func (id TopicID) IsZero() bool { return id == TopicID{} }

// String is the id as Kafka's own tools print it: URL-safe base64 without padding.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseTopicID parses what [TopicID.String] prints.
func ParseTopicID(s string) (TopicID, error) {
	var id TopicID
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("%w: topic id %q is not 22 characters of URL-safe base64", ErrToken, clip(s))
	}
	copy(id[:], b)
	return id, nil
}

// MarshalText is [TopicID.String], so that an id is readable in JSON.
func (id TopicID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is [ParseTopicID].
func (id *TopicID) UnmarshalText(b []byte) error {
	v, err := ParseTopicID(string(b))
	if err != nil {
		return err
	}
	*id = v
	return nil
}

// Offset is the next offset to read of one partition. An offset o that a write returned is covered by Next o+1.
type Offset struct {
	Partition   int32
	Next        int64
	LeaderEpoch int32 // UnknownEpoch where it is not known
}

// Position is a topic id with the next offset of some of its partitions. It is immutable; the zero value covers nothing
// and asks for nothing.
type Position struct {
	topic   TopicID
	offsets []Offset // ascending by partition, each partition once
}

// New makes a Position. Where a partition is named twice, the greatest next offset stays. The slice is not kept.
func New(topic TopicID, offsets ...Offset) Position {
	o := slices.Clone(offsets)
	slices.SortFunc(o, func(a, b Offset) int {
		if a.Partition != b.Partition {
			return int(a.Partition) - int(b.Partition)
		}
		switch {
		case a.Next > b.Next:
			return -1
		case a.Next < b.Next:
			return 1
		}
		return 0
	})
	o = slices.CompactFunc(o, func(a, b Offset) bool { return a.Partition == b.Partition })
	return Position{topic: topic, offsets: o}
}

// OfRecord is the Position that covers the record at offset.
func OfRecord(topic TopicID, partition int32, offset int64) Position {
	return Position{topic: topic, offsets: []Offset{{partition, offset + 1, UnknownEpoch}}}
}

// Topic is the id of the topic that the offsets belong to.
func (p Position) Topic() TopicID { return p.topic }

// Offsets are in ascending order of partition. The slice is shared: read it only.
func (p Position) Offsets() []Offset { return p.offsets }

// IsZero reports whether the position names no partition.
func (p Position) IsZero() bool { return len(p.offsets) == 0 }

// Next is the next offset of a partition, or false where the position does not name it.
func (p Position) Next(partition int32) (int64, bool) {
	i, ok := slices.BinarySearchFunc(p.offsets, partition, func(o Offset, q int32) int { return int(o.Partition) - int(q) })
	if !ok {
		return 0, false
	}
	return p.offsets[i].Next, true
}

// Covers reports whether all that q names has been read at p. Positions of different topics never cover each other.
func (p Position) Covers(q Position) bool {
	if q.IsZero() {
		return true
	}
	if p.topic != q.topic {
		return false
	}
	for _, o := range q.offsets {
		next, ok := p.Next(o.Partition)
		if o.Next > 0 && (!ok || next < o.Next) {
			return false
		}
	}
	return true
}

// Merge is the smallest position that covers both. A position of another topic replaces p: what a connection last wrote to
// a topic that has since been recreated can no longer be waited for.
func (p Position) Merge(q Position) Position {
	if q.IsZero() {
		return p
	}
	if p.IsZero() || p.topic != q.topic {
		return q
	}
	if len(p.offsets) == 1 && len(q.offsets) == 1 && p.offsets[0].Partition == q.offsets[0].Partition {
		if q.offsets[0].Next > p.offsets[0].Next {
			return q
		}
		return p
	}
	return New(p.topic, append(slices.Clone(p.offsets), q.offsets...)...)
}

// String is the token: "1:<topic id>:<partition>.<next>[.<leader epoch>],…".
func (p Position) String() string { return string(p.AppendToken(nil)) }

// AppendToken appends what String returns.
func (p Position) AppendToken(dst []byte) []byte {
	dst = append(dst, tokenVersion...)
	dst = append(dst, ':')
	dst = base64.RawURLEncoding.AppendEncode(dst, p.topic[:])
	dst = append(dst, ':')
	for i, o := range p.offsets {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, int64(o.Partition), 10)
		dst = append(dst, '.')
		dst = strconv.AppendInt(dst, o.Next, 10)
		if o.LeaderEpoch != UnknownEpoch {
			dst = append(dst, '.')
			dst = strconv.AppendInt(dst, int64(o.LeaderEpoch), 10)
		}
	}
	return dst
}

// Parse parses a token. Its errors wrap [ErrToken] and name the part that is wrong.
func Parse(s string) (Position, error) {
	version, rest, ok := strings.Cut(s, ":")
	if !ok {
		return Position{}, fmt.Errorf("%w: %q is not <version>:<topic id>:<offsets>", ErrToken, clip(s))
	}
	if version != tokenVersion {
		return Position{}, fmt.Errorf("%w: version %q is not known here, only %q", ErrToken, clip(version), tokenVersion)
	}
	idText, rest, ok := strings.Cut(rest, ":")
	if !ok {
		return Position{}, fmt.Errorf("%w: %q has no offsets", ErrToken, clip(s))
	}
	id, err := ParseTopicID(idText)
	if err != nil {
		return Position{}, err
	}
	if rest == "" {
		return Position{topic: id}, nil
	}
	if strings.Count(rest, ",") >= maxTokenPartitions {
		return Position{}, fmt.Errorf("%w: more than %d partitions", ErrToken, maxTokenPartitions)
	}
	var offsets []Offset
	for part := range strings.SplitSeq(rest, ",") {
		o, err := parseOffset(part)
		if err != nil {
			return Position{}, err
		}
		if n := len(offsets); n > 0 && offsets[n-1].Partition >= o.Partition {
			return Position{}, fmt.Errorf("%w: partition %d is out of order or named twice", ErrToken, o.Partition)
		}
		offsets = append(offsets, o)
	}
	return Position{topic: id, offsets: offsets}, nil
}

func parseOffset(s string) (Offset, error) {
	o := Offset{LeaderEpoch: UnknownEpoch}
	partition, rest, ok := strings.Cut(s, ".")
	if !ok {
		return o, fmt.Errorf("%w: %q is not <partition>.<next offset>", ErrToken, clip(s))
	}
	next, epoch, hasEpoch := strings.Cut(rest, ".")
	p, err := parseNumber(partition, math.MaxInt32)
	if err != nil {
		return o, fmt.Errorf("%w: partition %w", ErrToken, err)
	}
	n, err := parseNumber(next, math.MaxInt64)
	if err != nil {
		return o, fmt.Errorf("%w: next offset %w", ErrToken, err)
	}
	o.Partition, o.Next = int32(p), n
	if hasEpoch {
		e, err := parseNumber(epoch, math.MaxInt32)
		if err != nil {
			return o, fmt.Errorf("%w: leader epoch %w", ErrToken, err)
		}
		o.LeaderEpoch = int32(e)
	}
	return o, nil
}

// parseNumber takes only what AppendInt writes of a number that is not negative, so that a token has one spelling.
func parseNumber(s string, limit int64) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > limit || (s[0] == '+') || (len(s) > 1 && s[0] == '0') {
		return 0, fmt.Errorf("%q is not a number from 0 to %d", clip(s), limit)
	}
	return n, nil
}

// clip bounds what an error repeats of its input.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
