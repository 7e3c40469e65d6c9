package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"
)

// checksum is /api/v1/checksum?topic=…&full.
type checksum struct {
	Topic, ID, Rules, State string
	Comparable              bool
	Partitions              []struct {
		Partition                  int32
		Position, LogStart, Claims int64
		Digest, Full               string
	}
}

func checksumOf(ctx context.Context, i Reporter, topic string) (c checksum, err error) {
	code, body, err := i.HTTP(ctx, "/api/v1/checksum?topic="+url.QueryEscape(topic)+"&full")
	if err == nil && code != 200 {
		err = fmt.Errorf("/api/v1/checksum: %d: %.200s", code, oneLine(string(body)))
	}
	if err == nil {
		err = json.Unmarshal(body, &c)
	}
	return c, err
}

// sameAsFresh starts an instance with nothing on the topic, which nobody writes to meanwhile, and holds the other against it: the same keys
// and values, and the same digests where instances have them.
func (r *Run) sameAsFresh(ctx context.Context, i Instance, topic string) {
	fresh := r.Start(ctx, Spec{Topic: topic})
	r.Ready(ctx, fresh)
	want, err := fresh.All(ctx)
	if err != nil {
		r.Errorf("contents of a fresh instance: %v", err)
		return
	}
	r.HasNow(ctx, i, want, "compared with a fresh instance")
	if a, ok := i.(Reporter); ok {
		r.sameChecksums(ctx, a, fresh.(Reporter), topic)
	}
	fresh.Kill()
}

// sameChecksums waits until the digests of two instances at the same positions are the same.
func (r *Run) sameChecksums(ctx context.Context, a, b Reporter, topic string) {
	r.expect(ctx, 5*time.Second, "the checksums agree", func(ctx context.Context) error {
		x, err := checksumOf(ctx, a, topic)
		if err != nil {
			return err
		}
		y, err := checksumOf(ctx, b, topic)
		if err != nil {
			return err
		}
		if !x.Comparable || !y.Comparable || len(x.Partitions) == 0 || len(x.Partitions) != len(y.Partitions) {
			return fmt.Errorf("not comparable: %+v and %+v", x, y)
		}
		for n, p := range x.Partitions {
			q := y.Partitions[n]
			if p.Digest == "" || p.Full == "" || p.Digest != q.Digest || p.Full != q.Full || p.Claims != q.Claims || p.Position != q.Position || p.LogStart != q.LogStart {
				return fmt.Errorf("%+v and %+v", p, q)
			}
		}
		return nil
	})
}
