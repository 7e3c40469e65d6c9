package peers

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/position"
)

// TestWhatWaitsAreToldIsWhatPeersTold has three peers tell random positions, turns and topics, go and come back, while waits come and go, and compares with
// what can be said by looking at everything: a wait is woken when one more peer has all of it, what it lacks is noted for exactly the others, and
// the count is right. Every wait is for an offset of at least 1, as that behind a record is.
func TestWhatWaitsAreToldIsWhatPeersTold(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	s, err := New(Config{Instance: "me", Cluster: func() string { return "c" }, Topics: []string{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	ids := []position.TopicID{{1}, {2}, {3}}
	type life struct {
		instance string
		first    bool
		turn     [2]int64
		topic    [2]position.TopicID
		next     [2][3]int64
		serving  [2]bool
	}
	var all []*peer
	lives := map[*peer]*life{}
	born := 0
	begin := func(p *peer) {
		born++
		l := &life{instance: fmt.Sprint("i", born), first: true}
		for i := range 2 {
			l.topic[i], l.serving[i] = ids[rnd.IntN(3)], true
		}
		lives[p] = l
	}
	for i := range 3 {
		p := &peer{set: s, addr: fmt.Sprint(i), state: Connecting, nudge: make(chan struct{}, 1), stop: make(chan struct{})}
		s.peers[p.addr] = p
		all = append(all, p)
		begin(p)
	}
	covered := func(p *peer, w *Wait) bool {
		l := lives[p]
		if p.state != Connected {
			return false
		}
		for _, q := range w.all {
			has := false
			for i := range 2 {
				if l.topic[i] != q.Topic() || !l.serving[i] {
					continue
				}
				has = true
				for _, o := range q.Offsets() {
					has = has && l.next[i][o.Partition] >= o.Next
				}
				break // of two topics with one id, which there are not, either may be taken
			}
			if !has {
				return false
			}
		}
		return true
	}
	type waiting struct {
		*Wait
		woken int
	}
	var waits []*waiting
	at := func(l *life, i int) position.Position {
		var o []position.Offset
		for p, next := range l.next[i] {
			o = append(o, position.Offset{Partition: int32(p), Next: next, LeaderEpoch: position.UnknownEpoch})
		}
		return position.New(l.topic[i], o...)
	}
	for step := range 5_000 {
		p := all[rnd.IntN(3)]
		l := lives[p]
		had := map[*waiting]bool{}
		for _, w := range waits {
			had[w], w.woken = covered(p, w.Wait), 0
		}
		told := false
		what := rnd.IntN(12)
		if what < 3 && len(waits) > 30 {
			what = 3
		}
		switch what {
		case 0: // the connection ends
			_ = p.disconnected(errStopped, false)
			begin(p)
		case 1, 2:
			var q []position.Position
			for _, id := range ids[:1+rnd.IntN(2)] {
				q = append(q, position.New(id, position.Offset{Partition: int32(rnd.IntN(3)), Next: 1 + rnd.Int64N(20)}, position.Offset{Partition: int32(rnd.IntN(3)), Next: 1 + rnd.Int64N(20)}))
			}
			w := &waiting{}
			w.Wait = s.Wait(q, func() { w.woken++ })
			waits = append(waits, w)
		case 3:
			if len(waits) > 0 {
				i := rnd.IntN(len(waits))
				waits[i].Cancel()
				waits = append(waits[:i], waits[i+1:]...)
			}
		default:
			told = true
			a := applied{instance: l.instance, identity: "x", cluster: "c"}
			for i := range 2 {
				switch n := rnd.IntN(20); {
				case n == 0: // it reads another topic
					l.turn[i]++
					l.topic[i], l.next[i] = ids[rnd.IntN(3)], [3]int64{}
				case n == 1: // it reads its topic anew
					l.turn[i]++
					l.next[i] = [3]int64{}
				case n == 2:
					l.turn[i]++
					l.serving[i] = !l.serving[i]
				case n < 8 && !l.first:
					continue // there is nothing new of it
				}
				for q := range l.next[i] {
					l.next[i][q] += rnd.Int64N(3)
				}
			}
			if l.topic[0] == l.topic[1] {
				l.turn[1]++
				l.topic[1], l.next[1] = ids[(int(l.topic[0][0]))%3], [3]int64{}
			}
			for i, name := range []string{"a", "b"} {
				a.topics = append(a.topics, appliedTopic{name: name, serving: l.serving[i], turn: l.turn[i], token: at(l, i).String()})
			}
			if err := p.heard(a, l.first); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			l.first = false
		}
		for _, w := range waits {
			if has := covered(p, w.Wait); told && has && !had[w] && w.woken == 0 {
				t.Fatalf("step %d: nobody woke the wait for %v, which %v has now", step, w.all, p.told)
			}
			n := 0
			for _, p := range all {
				has := covered(p, w.Wait)
				if has {
					n++
				}
				s.mu.Lock()
				lacks := p.pending[w.Wait] != nil
				s.mu.Unlock()
				if p.state == Connected && lacks == has {
					t.Fatalf("step %d: peer %s has all of %v: %t; noted as lacking: %t", step, p.addr, w.all, has, lacks)
				}
			}
			if got := s.Count(w.all); got != n {
				t.Fatalf("step %d: %d peers are counted for %v, and %d have it", step, got, w.all, n)
			}
		}
	}
	for _, w := range waits {
		w.Cancel()
	}
	for _, p := range all {
		if len(p.pending) > 0 || len(p.queues) > 0 {
			t.Errorf("peer %s has %d waits and %d queues left", p.addr, len(p.pending), len(p.queues))
		}
	}
}
