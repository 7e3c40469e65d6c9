package caching

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// clients are one of each mode, and of each library.
func (w *world) clients() ([]client, error) {
	var all []client
	for _, t := range []*tracker{
		{label: "default", proto: "3"},
		{label: "optin", proto: "3", options: []string{"optin"}},
		{label: "optout", proto: "3", options: []string{"optout"}},
		{label: "bcast", proto: "3", options: []string{"bcast"}},
		{label: "prefix", proto: "3", options: []string{"bcast", "prefix", "hot", "prefix", "cold"}, prefixes: []string{"hot", "cold"}},
		{label: "noloop", proto: "3", options: []string{"noloop"}},
		{label: "noloop-bcast", proto: "3", options: []string{"bcast", "noloop"}, writes: true},
		{label: "noloop-prefix", proto: "3", options: []string{"bcast", "noloop", "prefix", "shared", "prefix", "cold"}, prefixes: []string{"shared", "cold"}, writes: true},
		{label: "redirect-resp2", proto: "2", redirect: "2"},
		{label: "redirect-resp3", proto: "3", redirect: "3"},
		{label: "redirect-bcast-resp2", proto: "2", redirect: "2", options: []string{"bcast"}},
	} {
		t.w = w
		t.drop()
		all = append(all, t)
	}
	all = append(all, &rueidisClient{w: w})
	if w.cfg.Python != "" {
		p, err := startPython(w)
		if err != nil {
			return all, err
		}
		all = append(all, p)
	}
	return all, nil
}

// rueidisClient is rueidis with its cache, over one connection.
type rueidisClient struct {
	w *world
	c rueidis.Client
}

func (r *rueidisClient) name() string { return "rueidis" }

func (r *rueidisClient) close() {
	if r.c != nil {
		r.c.Close()
	}
}

func (r *rueidisClient) step(random *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if r.c == nil {
		c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{r.w.way.addr()}, ForceSingleClient: true, DisableRetry: true, PipelineMultiplex: -1})
		if err != nil {
			rest(ctx)
			return
		}
		r.c = c
	}
	for range 20 {
		_ = r.c.DoCache(ctx, r.c.B().Get().Key(r.w.keys[random.IntN(len(r.w.keys))]).Cache(), time.Hour).Error() // where it fails nothing is kept
	}
}

func (r *rueidisClient) compare(ctx context.Context, now map[string]string) (kept int, err error) {
	if r.c == nil || r.c.Do(ctx, r.c.B().Ping().Build()).Error() != nil {
		return 0, nil
	}
	for _, k := range r.w.keys {
		got := r.c.DoCache(ctx, r.c.B().Get().Key(k).Cache(), time.Hour)
		v, err := got.ToString()
		switch {
		case err != nil && !rueidis.IsRedisNil(err):
			return kept, nil
		case got.IsCacheHit():
			if kept++; v != now[k] {
				r.w.violation("rueidis keeps %q of %s, which is %q", v, k, now[k])
			}
		}
	}
	return kept, nil
}

// python is redis-py with its cache, in a process of its own that is told what to do line by line.
type python struct {
	w   *world
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startPython(w *world) (*python, error) {
	cmd := exec.Command(w.cfg.Python, w.cfg.Script, w.way.addr())
	cmd.Env = append(os.Environ(), "PYTHONPATH="+w.cfg.Library, "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &python{w: w, cmd: cmd, in: in, out: bufio.NewScanner(out)}, nil
}

func (p *python) name() string { return "redis-py" }

func (p *python) close() {
	_ = p.in.Close()
	_ = p.cmd.Wait()
}

func (p *python) ask(words ...string) (string, error) {
	if _, err := io.WriteString(p.in, strings.Join(words, " ")+"\n"); err != nil {
		return "", err
	}
	if !p.out.Scan() {
		return "", fmt.Errorf("redis-py's process has ended: %w", p.out.Err())
	}
	return p.out.Text(), nil
}

func (p *python) step(random *rand.Rand) {
	words := []string{"read"}
	for range 20 {
		words = append(words, p.w.keys[random.IntN(len(p.w.keys))])
	}
	if _, err := p.ask(words...); err != nil {
		p.w.violation("%v", err)
	}
}

func (p *python) compare(_ context.Context, now map[string]string) (int, error) {
	line, err := p.ask("kept")
	if err != nil {
		return 0, err
	}
	var kept map[string]string
	if err := json.Unmarshal([]byte(line), &kept); err != nil {
		return 0, fmt.Errorf("%s: %w", strconv.Quote(line), err)
	}
	for k, v := range kept {
		if v != now[k] {
			p.w.violation("redis-py keeps %q of %s, which is %q", v, k, now[k])
		}
	}
	return len(kept), nil
}
