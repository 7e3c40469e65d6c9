package rollout

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// stableKeys are written before the load, and never again.
const stableKeys = 100

func stable(i int) (key, value string) {
	return fmt.Sprint("stable-", i), strings.Repeat(fmt.Sprint(i, "."), 50)
}

// tokenWait is how long an instance may take to have what a token says, in milliseconds.
const tokenWait = 20_000

// load is clients that read and write, each as fast as its kind does, until it is stopped. What one of them sees that it should not is kept.
type load struct {
	t       *testing.T
	began   time.Time
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	requests, written, tokens atomic.Int64

	mu    sync.Mutex
	wrong []string
	many  int
}

func newLoad(t *testing.T) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{t: t, began: time.Now(), ctx: ctx, cancel: cancel}
	t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	l.cancel()
	l.running.Wait()
}

// bad notes what a client has seen.
func (l *load) bad(who, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.many++
	if len(l.wrong) < 20 {
		l.wrong = append(l.wrong, fmt.Sprintf("%v %s: ", time.Since(l.began).Round(time.Millisecond), who)+fmt.Sprintf(format, args...))
	}
}

// report fails the test where a client has seen something.
func (l *load) report() {
	l.end()
	l.t.Logf("%d requests, %d writes, %d of them read elsewhere by their tokens", l.requests.Load(), l.written.Load(), l.tokens.Load())
	if l.many > 0 {
		l.t.Errorf("clients have seen %d errors:\n%s", l.many, strings.Join(l.wrong, "\n"))
	}
}

// awaitRequests waits until n more have been answered.
func (l *load) awaitRequests(n int64) {
	l.t.Helper()
	until := l.requests.Load() + n
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for l.requests.Load() < until {
		select {
		case <-tick.C:
		case <-deadline:
			l.t.Fatal("the load stands still")
		}
	}
}

// run starts every kind of client over clients that are made by connect, one for each.
func (l *load) run(who string, connect func() *redis.Client) {
	for name, kind := range map[string]func(*worker) bool{
		"tokens": (*worker).readsItsWrite, "more tokens": (*worker).readsItsWrite, "pipeline": (*worker).pipelines, "transaction": (*worker).transacts,
		"reader": (*worker).reads, "more reads": (*worker).reads, "slow reader": (*worker).readsSlowly, "large values": (*worker).writesLarge,
	} {
		c := connect()
		w := &worker{load: l, name: who + ", " + name, client: c, key: strings.ReplaceAll(who+" "+name, " ", "-"), rand: rand.New(rand.NewPCG(rand.Uint64(), 0))}
		l.running.Go(func() {
			defer c.Close()
			for l.ctx.Err() == nil {
				if !kind(w) {
					w.pause(50 * time.Millisecond)
				}
				w.pause(time.Duration(1+w.rand.IntN(20)) * time.Millisecond) // a small machine runs all of it
			}
		})
	}
}

// worker is one client. It alone writes its key.
type worker struct {
	*load
	name, key string
	client    *redis.Client
	rand      *rand.Rand
	n         int
}

func (w *worker) pause(d time.Duration) {
	if d == 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-w.ctx.Done():
	}
}

// ok takes note of a request, and reports whether it was answered as it should be.
func (w *worker) ok(what string, err error) bool {
	if w.ctx.Err() != nil {
		return false
	}
	w.requests.Add(1)
	if err != nil {
		w.bad(w.name, "%s: %v", what, err)
	}
	return err == nil
}

func (w *worker) same(what, got, want string) bool {
	if got != want {
		w.bad(w.name, "%s answers %.40q and not %.40q", what, got, want)
	}
	return got == want
}

// reads is one GET of what never changes.
func (w *worker) reads() bool {
	key, value := stable(w.rand.IntN(stableKeys))
	got, err := w.client.Get(w.ctx, key).Result()
	return w.ok("GET", err) && w.same("GET", got, value)
}

func (w *worker) readsSlowly() bool {
	w.pause(time.Duration(w.rand.IntN(300)) * time.Millisecond)
	return w.reads()
}

// readsItsWrite writes, and reads that by its token over whichever connection it is given, to whichever instance.
func (w *worker) readsItsWrite() bool {
	w.n++
	value := fmt.Sprint(w.n)
	reply, err := w.client.Do(w.ctx, "KAFKA.SET", w.key, value).Slice()
	if !w.ok("KAFKA.SET", err) {
		return false
	}
	w.written.Add(1)
	pipe := w.client.Pipeline()
	applied := pipe.Do(w.ctx, "KAFKA.WAIT", reply[2], tokenWait)
	got := pipe.Get(w.ctx, w.key)
	_, err = pipe.Exec(w.ctx)
	if !w.ok("KAFKA.WAIT and GET", err) {
		return false
	}
	w.tokens.Add(1)
	if n, _ := applied.Int(); n != 1 {
		w.bad(w.name, "KAFKA.WAIT answers %v", applied)
		return false
	}
	return w.same("GET behind KAFKA.WAIT", got.Val(), value)
}

// pipelines sends what goes over in several pieces.
func (w *worker) pipelines() bool {
	w.pause(time.Duration(w.rand.IntN(100)) * time.Millisecond)
	w.n++
	value := strings.Repeat(fmt.Sprint(w.n, " "), 500)
	pipe := w.client.Pipeline()
	for range 40 {
		pipe.Set(w.ctx, w.key, value, 0)
	}
	got := pipe.Get(w.ctx, w.key)
	_, err := pipe.Exec(w.ctx)
	if !w.ok("a pipeline", err) {
		return false
	}
	w.written.Add(40)
	return w.same("GET in a pipeline", got.Val(), value)
}

// transacts writes two keys in one MULTI.
func (w *worker) transacts() bool {
	w.n++
	value := fmt.Sprint(w.n)
	pipe := w.client.TxPipeline()
	pipe.Set(w.ctx, w.key, value, 0)
	pipe.Set(w.ctx, w.key+"-2", value, 0)
	got := pipe.MGet(w.ctx, w.key, w.key+"-2")
	_, err := pipe.Exec(w.ctx)
	if !w.ok("MULTI", err) {
		return false
	}
	w.written.Add(2)
	return w.same("MGET in MULTI", fmt.Sprint(got.Val()...), fmt.Sprint(value, value))
}

// writesLarge has a command that arrives in many pieces.
func (w *worker) writesLarge() bool {
	w.pause(time.Duration(w.rand.IntN(400)) * time.Millisecond)
	w.n++
	err := w.client.Set(w.ctx, w.key, strings.Repeat(fmt.Sprint(w.n%10), 300_000), 0).Err()
	if !w.ok("SET of 300 kB", err) {
		return false
	}
	w.written.Add(1)
	return true
}
