package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

const maxStreams = 32

// streams are the event streams that are open. It is safe for concurrent use.
type streams struct {
	mu     sync.Mutex
	open   map[chan []byte]bool
	closed chan struct{} // no more events
	ended  bool

	life  time.Duration // of one; then a browser opens another by itself, so whoever's rights have ended is found out
	write time.Duration // for one event, to a peer that does not read
}

func newStreams() *streams {
	return &streams{open: map[chan []byte]bool{}, closed: make(chan struct{}), life: 10 * time.Minute, write: 10 * time.Second}
}

// join opens a stream; nil: there are as many as there may be, or no more events come.
func (s *streams) join() chan []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || len(s.open) >= maxStreams {
		return nil
	}
	ch := make(chan []byte, 1)
	s.open[ch] = true
	return ch
}

func (s *streams) leave(ch chan []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, ch)
}

func (s *streams) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open) > 0
}

// tell hands an event to all. A stream that has not sent the one before sends this instead: each event has the whole state.
func (s *streams) tell(event []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ch := range s.open {
		select {
		case <-ch:
		default:
		}
		ch <- event
	}
}

// end ends all streams, and lets none be opened. It may be called again.
func (s *streams) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.ended = true
		close(s.closed)
	}
}

// Run samples for the plots and feeds the event streams until ctx ends, then ends the streams and returns nil. Without it the page has neither. It has to
// end before the cache is closed, and is called once.
func (s *Server) Run(ctx context.Context) error {
	defer s.streams.end()
	tick := time.NewTicker(s.interval)
	defer tick.Stop()
	for {
		s.sample()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// sample notes one sample and tells it.
func (s *Server) sample() {
	status := s.statusNow()
	var commands CommandTotals
	if s.commands != nil {
		commands = s.commands()
	}
	now := time.Now()
	values := s.history.add(now, &status, commands)
	if !s.streams.any() {
		return
	}
	event, err := s.event(status, now, values)
	if err != nil {
		s.log.Error("render an event of the status page", "error", err)
		return
	}
	s.streams.tell(event)
}

// event is the state of the page for who has it open: what its cells say, and the newest sample.
func (s *Server) event(status Status, now time.Time, values map[string]sampled) ([]byte, error) {
	p, err := s.render(status, now, nil)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(struct {
		Shape  string             `json:"shape"`
		Cells  map[string]cell    `json:"cells"`
		Time   int64              `json:"time"`
		Values map[string]sampled `json:"values"`
	}{p.shape(), p.cells, now.UnixMilli(), values})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("event: status\ndata: ")
	b.Write(data)
	b.WriteString("\n\n")
	return b.Bytes(), nil
}

// events serves server-sent events.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	ch := s.streams.join()
	if ch == nil {
		w.Header().Set("Retry-After", "10")
		writeError(w, http.StatusServiceUnavailable, "there are as many event streams as there may be, or the instance is stopping")
		return
	}
	defer s.streams.leave(ch)
	c := http.NewResponseController(w)
	// The server's own deadlines are for answers that end.
	_ = c.SetReadDeadline(time.Time{})
	write := func(b []byte) bool {
		if c.SetWriteDeadline(time.Now().Add(s.streams.write)) != nil {
			return false
		}
		_, err := w.Write(b)
		return err == nil && c.Flush() == nil
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	if !write([]byte("retry: 2000\n\n")) {
		return
	}
	life := time.NewTimer(s.streams.life)
	defer life.Stop()
	for {
		select {
		case b := <-ch:
			if !write(b) {
				return
			}
		case <-life.C:
			return
		case <-r.Context().Done():
			return
		case <-s.streams.closed:
			return
		}
	}
}
