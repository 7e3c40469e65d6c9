package cache

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/store"
)

// benchUser is a value of 200 bytes of JSON or so.
type benchUser struct {
	ID          string   `json:"id"`
	Email       string   `json:"email"`
	DisplayName string   `json:"displayName"`
	Groups      []string `json:"groups"`
}

// BenchmarkTyped is what types cost: a Get of bytes, the same with its own parse behind it, and the typed ones; and a range likewise, ns/op being of one
// entry.
func BenchmarkTyped(b *testing.B) {
	const n = 10_000
	topic, st := served(b)
	keys := make([]string, n)
	batch := &store.Batch{Next: n}
	for i := range keys {
		keys[i] = fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(i)*0x9e3779b9, i)
		v, err := json.Marshal(benchUser{keys[i], fmt.Sprintf("user%d@example.net", i), fmt.Sprintf("User number %d", i), []string{"3f2a", "77c1"}})
		if err != nil {
			b.Fatal(err)
		}
		batch.Mutations = append(batch.Mutations, store.Mutation{Key: []byte(keys[i]), Value: append(v, bytes.Repeat([]byte(" "), 200-len(v))...), Offset: int64(i)})
	}
	if err := st.Apply(batch, nil); err != nil {
		b.Fatal(err)
	}
	users := &Reader[string, benchUser]{topic, topic, codec.String(), codec.JSON[benchUser]()}
	texts := &Reader[string, []byte]{topic, topic, codec.String(), codec.Bytes()}
	b.Run("get bytes", func(b *testing.B) {
		b.ReportAllocs()
		dst := make([]byte, 0, 256)
		for i := 0; b.Loop(); i++ {
			if _, ok, err := topic.AppendGet(dst, []byte(keys[i%n])); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("parse alone", func(b *testing.B) {
		b.ReportAllocs()
		values := codec.JSON[benchUser]()
		for i := 0; b.Loop(); i++ {
			if _, err := values.Parse(batch.Mutations[i%n].Value); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get typed bytes", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := texts.Get(keys[i%n]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get JSON", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := users.Get(keys[i%n]); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, c := range []struct {
		name   string
		bounds Bounds[string]
	}{{"range", Bounds[string]{}}, {"range reverse", Bounds[string]{Reverse: true}}, {"range keys", Bounds[string]{KeysOnly: true}}} {
		b.Run(c.name+" bytes", func(b *testing.B) {
			b.ReportAllocs()
			bounds := Bounds[[]byte]{Reverse: c.bounds.Reverse, KeysOnly: c.bounds.KeysOnly}
			for done := 0; done < b.N; {
				for _, err := range topic.Stream(b.Context(), bounds) {
					if err != nil {
						b.Fatal(err)
					}
					if done++; done == b.N {
						break
					}
				}
			}
		})
		b.Run(c.name+" JSON", func(b *testing.B) {
			b.ReportAllocs()
			for done := 0; done < b.N; {
				for _, err := range users.Stream(b.Context(), c.bounds) {
					if err != nil {
						b.Fatal(err)
					}
					if done++; done == b.N {
						break
					}
				}
			}
		})
	}
}
