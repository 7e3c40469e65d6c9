package integration

import "testing"

// meta is what KAFKA.META answers in RESP3.
type meta struct {
	partition, offset, timestamp int64
	headers                      map[string]string
}

func metaOf(t *testing.T, reply any) meta {
	t.Helper()
	m, ok := reply.(map[any]any)
	if !ok {
		t.Fatalf("KAFKA.META answers %T %v", reply, reply)
	}
	got := meta{headers: map[string]string{}}
	for _, f := range []struct {
		name string
		v    *int64
	}{{"partition", &got.partition}, {"offset", &got.offset}, {"timestamp", &got.timestamp}} {
		if *f.v, ok = m[f.name].(int64); !ok {
			t.Fatalf("KAFKA.META answers %v", reply)
		}
	}
	headers, ok := m["headers"].([]any)
	if !ok {
		t.Fatalf("KAFKA.META answers %v", reply)
	}
	for _, h := range headers {
		pair, ok := h.([]any)
		if !ok || len(pair) != 2 {
			t.Fatalf("KAFKA.META answers %v", reply)
		}
		got.headers[pair[0].(string)] = pair[1].(string)
	}
	return got
}

// written is what KAFKA.SET and KAFKA.DEL answer.
type written struct {
	partition int32
	offset    int64
	token     string
}

func writtenOf(t *testing.T, reply any, err error) written {
	t.Helper()
	a, ok := reply.([]any)
	if err != nil || !ok || len(a) != 3 {
		t.Fatalf("a write answers %v, %v", reply, err)
	}
	return written{partition: int32(a[0].(int64)), offset: a[1].(int64), token: a[2].(string)}
}
