package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// hedgeDelay is how long a broker that was asked something any broker can answer is waited for before the next one is
// asked too: a stopped process still accepts connections, and would hold up the search for a new leader.
const hedgeDelay = 400 * time.Millisecond

// Client looks things up and commits group offsets. It is safe for concurrent use. Connections are made on demand, and
// every call honours its context.
type Client struct {
	config Config
	ending context.Context // done once closed
	end    context.CancelFunc

	mu           sync.Mutex
	links        map[string]*link
	known        []string // addresses of the cluster's brokers, as metadata last said
	preferred    string   // who answered last
	coordinators map[string]string
	calls        sync.WaitGroup
	closed       bool
}

// NewClient checks the configuration. It starts nothing and touches no network.
func NewClient(c Config) (*Client, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	ending, end := context.WithCancel(context.Background())
	return &Client{
		config:       c.withDefaults(),
		ending:       ending,
		end:          end,
		links:        make(map[string]*link),
		coordinators: make(map[string]string),
	}, nil
}

// Close ends the connections. Calls that are under way, and later ones, return [ErrClosed]. It returns when the calls have.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	links := c.links
	c.links = nil
	c.mu.Unlock()
	c.end()
	c.calls.Wait()
	for _, l := range links {
		l.close()
	}
	return nil
}

// begin registers a call: its context also ends with the client.
func (c *Client) begin(ctx context.Context) (context.Context, func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, ErrClosed
	}
	c.calls.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.ending, func() { cancel(ErrClosed) })
	return ctx, func() { stop(); cancel(nil); c.calls.Done() }, nil
}

// ask runs one exchange with the broker at addr.
func (c *Client) ask(ctx context.Context, addr string, r request) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	l := c.links[addr]
	if l == nil {
		l = newLink(&c.config, addr, lookupFrame, true)
		c.links[addr] = l
	}
	c.mu.Unlock()
	_, err := l.do(ctx, r)
	return endedBy(ctx, err)
}

// endedBy is err, or where the context ended what ended it.
func endedBy(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// askAny asks one broker after the other, the one that answered last first and the bootstrap addresses last, until one
// answers. A broker that is slow is not waited for alone.
func askAny[T any](ctx context.Context, c *Client, exchange func(*sarama.Broker) (T, time.Duration, error)) (T, error) {
	type answer struct {
		addr  string
		value T
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	addrs := c.addresses()
	answers := make(chan answer, len(addrs))
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel() // before the wait
	start := func(addr string) {
		asking.Go(func() {
			a := answer{addr: addr}
			a.err = c.ask(ctx, addr, func(b *sarama.Broker) (d time.Duration, err error) {
				a.value, d, err = exchange(b)
				return d, err
			})
			answers <- a
		})
	}
	hedge := time.NewTimer(hedgeDelay)
	defer hedge.Stop()
	var none T
	var errs []error
	next, pending := 0, 0
	for {
		if pending == 0 {
			if next == len(addrs) {
				return none, fmt.Errorf("%w: no broker answered: %w", ErrUnavailable, errors.Join(errs...))
			}
			start(addrs[next])
			next, pending = next+1, pending+1
			hedge.Reset(hedgeDelay)
		}
		select {
		case a := <-answers:
			pending--
			if a.err == nil {
				c.prefer(a.addr)
				return a.value, nil
			}
			if ctx.Err() != nil {
				return none, context.Cause(ctx)
			}
			c.avoid(a.addr)
			if errors.Is(a.err, ErrNotAuthorized) {
				return none, a.err // the others have the same credentials, and asking on would lock accounts
			}
			errs = append(errs, a.err)
		case <-hedge.C:
			if next < len(addrs) {
				start(addrs[next])
				next, pending = next+1, pending+1
				hedge.Reset(hedgeDelay)
			}
		case <-ctx.Done():
			return none, context.Cause(ctx)
		}
	}
}

// addresses lists whom askAny asks, each once.
func (c *Client) addresses() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	add := func(a string) {
		if a != "" && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	add(c.preferred)
	for _, a := range c.known {
		add(a)
	}
	for _, a := range c.config.Bootstrap {
		add(a)
	}
	return all
}

func (c *Client) prefer(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.preferred = addr
}

// doubt has another broker asked next time: the one that answered may not have heard of what was asked for.
func (c *Client) doubt() {
	c.mu.Lock()
	addr := c.preferred
	c.mu.Unlock()
	c.avoid(addr)
}

// avoid moves a broker that did not answer behind the others.
func (c *Client) avoid(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.preferred == addr {
		c.preferred = ""
	}
	if i := slices.Index(c.known, addr); i >= 0 {
		c.known = append(slices.Delete(c.known, i, i+1), addr)
	}
}

// learn keeps the addresses of the cluster's brokers, and closes connections to those that have left it.
func (c *Client) learn(addrs []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Keep the order of those that are known: it has the ones that did not answer last.
	kept := slices.DeleteFunc(c.known, func(a string) bool { return !slices.Contains(addrs, a) })
	for _, a := range addrs {
		if !slices.Contains(kept, a) {
			kept = append(kept, a)
		}
	}
	c.known = kept
	if c.closed {
		return
	}
	for addr, l := range c.links {
		if slices.Contains(kept, addr) || slices.Contains(c.config.Bootstrap, addr) {
			continue
		}
		delete(c.links, addr)
		c.calls.Go(l.close)
	}
}

// ClusterID is the cluster's id (KIP-78).
func (c *Client) ClusterID(ctx context.Context) (string, error) {
	ctx, done, err := c.begin(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	res, err := askAny(ctx, c, func(b *sarama.Broker) (*sarama.DescribeClusterResponse, time.Duration, error) {
		res, err := b.DescribeCluster(sarama.NewDescribeClusterRequest(protocolVersion))
		if err != nil {
			return nil, 0, err
		}
		if res.Err != sarama.ErrNoError {
			return nil, 0, res.Err
		}
		return res, time.Duration(res.ThrottleTimeMs) * time.Millisecond, nil
	})
	if err != nil {
		return "", fmt.Errorf("ask for the cluster's id: %w", err)
	}
	return res.ClusterID, nil
}
