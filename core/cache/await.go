package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/yolean/kafka-cache/core/codec"
)

// waits are the partitions in which nothing goes on because a codec lacks something that it gets from elsewhere, with where and why.
type waits struct {
	mu  sync.Mutex
	why map[int32]string
}

func (w *waits) begin(partition int32, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.why == nil {
		w.why = map[int32]string{}
	}
	w.why[partition] = why
}

func (w *waits) end(partition int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.why, partition)
}

// String names the first of the partitions that wait; "" where none does.
func (w *waits) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := slices.Sorted(maps.Keys(w.why))
	if len(ids) == 0 {
		return ""
	}
	others := ""
	if len(ids) > 1 {
		others = fmt.Sprintf(", and %d others wait", len(ids)-1)
	}
	return w.why[ids[0]] + others
}

// await decodes what could not be decoded for want of something from elsewhere, for as long as it takes: such a record is neither passed over nor
// is its key missing. It is called from where nothing is locked, and holds back what the same leader has of other partitions. Where ctx
// ends, so does it, with an error.
func (s *scratch) await(ctx context.Context, t *Topic, partition int32, offset int64, c codec.Codec, b []byte, cause error) ([]byte, error) {
	defer t.waits.end(partition)
	awaiter, _ := c.(codec.Awaiter)
	for backoff := backoffMin; ; {
		if awaiter != nil {
			cause = awaiter.Await(ctx, b)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if errors.Is(cause, codec.ErrUnavailable) {
			t.waits.begin(partition, fmt.Sprintf("partition %d waits at offset %d for its encoding: %s", partition, offset, plain(cause)))
			if suppressed, ok := t.metrics.complaints.allow(partition); ok {
				t.log.Warn("a record cannot be decoded for now, and is waited for", "partition", partition, "offset", offset, "error", cause, "unlogged", suppressed)
			}
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(backoff/2 + rand.N(backoff)):
			}
			backoff = min(2*backoff, backoffMax)
			if awaiter != nil {
				continue
			}
		}
		out, err := s.decode(c, b)
		if !errors.Is(err, codec.ErrUnavailable) {
			return out, err
		}
		cause = err
	}
}

// withWaits is a state's reason with what is waited for.
func (w *waits) withWaits(reason string) string {
	return strings.TrimPrefix(strings.TrimSuffix(reason+"; "+w.String(), "; "), "; ")
}
