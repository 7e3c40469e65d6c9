package conformance

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Capability is what a subject may offer beyond reading a topic.
type Capability string

// What scenarios ask for. An instance of a subject with one of the first four has the interface of that name.
const (
	Writes  Capability = "writes"                // Writer
	Tokens  Capability = "tokens"                // Waiter
	Reports Capability = "status and metrics"    // Reporter
	Redis   Capability = "the Redis protocol"    // RedisServer
	Rules   Capability = "rules for records"     // Spec.KeyEncoding and Spec.ValueEncoding
	Durable Capability = "a data directory"      // Spec.DataDir is what a later start goes on from
	Options Capability = "kafka-cache's options" // Spec.Args
)

// Subject is a program that keeps a cache of a topic.
type Subject interface {
	// Name is how it is chosen and what its table is called.
	Name() string
	// Prepare builds or resolves what instances need; it is called once. Version, one line, is known after it.
	Prepare(ctx context.Context) error
	Version() string
	// Offers tells what instances can do.
	Offers(Capability) bool
	// Start starts an instance, and returns as soon as it runs: neither ready nor, perhaps, connected.
	Start(ctx context.Context, spec Spec) (Instance, error)
	// Close removes what Prepare made.
	Close() error
}

// Spec is what an instance is started with.
type Spec struct {
	Bootstrap string // host:port, comma-separated
	Topic     string
	// DataDir is an existing directory that later instances go on from; empty: nothing is kept.
	DataDir string
	// Identity tells instances of a topic apart (a consumer group, an application id).
	Identity string
	// Writable allows writes; for Writes.
	Writable bool
	// KeyEncoding and ValueEncoding are for Rules; empty: any text.
	KeyEncoding, ValueEncoding string
	// Args are further options, for Options.
	Args []string
}

// Instance is a running process of a subject. Everything is bounded by its context.
type Instance interface {
	// WaitReady returns once the instance says that it is ready to answer, and how long that was after its start.
	WaitReady(ctx context.Context) (time.Duration, error)
	// Get is one key's value; found is false for a key that is not there. An instance that does not answer now is an error.
	Get(ctx context.Context, key string) (value string, found bool, err error)
	// All is every key with its value.
	All(ctx context.Context) (map[string]string, error)
	// Stop ends it in order; the data directory may be used again then.
	Stop(ctx context.Context) error
	// Kill ends it with SIGKILL, Pause and Resume are SIGSTOP and SIGCONT. Kill may be called on one that has ended.
	Kill()
	Pause()
	Resume()
	// Log is what it has printed.
	Log() string
}

// Writer is an Instance that writes to its topic.
type Writer interface {
	// Put and Delete return when the write is acknowledged and applied, with the error that clients see.
	Put(ctx context.Context, key, value string) error
	Delete(ctx context.Context, key string) error
}

// Waiter is an Instance that waits for tokens.
type Waiter interface {
	// PutToken writes and returns a token that covers the write, as soon as it is acknowledged.
	PutToken(ctx context.Context, key, value string) (token string, err error)
	// Position is a token of what the instance has applied.
	Position(ctx context.Context) (token string, err error)
	// Wait waits until the instance has applied what the token covers; false after timeout.
	Wait(ctx context.Context, token string, timeout time.Duration) (bool, error)
}

// Start starts an instance with a data directory, an identity and brokers filled in, and ends it with the scenario.
func (r *Run) Start(ctx context.Context, spec Spec) Instance {
	if spec.Bootstrap == "" {
		spec.Bootstrap = r.Cluster.Addr()
	}
	if spec.Identity == "" {
		r.instances++
		spec.Identity = fmt.Sprintf("conformance.%s.%d", spec.Topic, r.instances)
	}
	i, err := r.Subject.Start(ctx, spec)
	if err != nil {
		r.Fatalf("it does not start: %v", err)
	}
	r.Cleanup(func() {
		i.Resume() // what is stopped does not answer even to its end
		i.Kill()
		if f, ok := i.(interface{ Fault() string }); ok && f.Fault() != "" {
			r.Errorf("the process has a fault: %s", f.Fault())
		}
		r.addLog(spec.Identity, i.Log())
	})
	return i
}

// Offers tells whether the subject offers all of them.
func (r *Run) Offers(needs ...Capability) bool { return r.missing(needs) == "" }

func (r *Run) missing(needs []Capability) Capability {
	i := slices.IndexFunc(needs, func(c Capability) bool { return !r.Subject.Offers(c) })
	if i < 0 {
		return ""
	}
	return needs[i]
}

var subjects = map[string]func() Subject{}

// RegisterSubject makes a subject known by name; packages of adapters call it from an init function.
func RegisterSubject(name string, make func() Subject) { subjects[name] = make }

// NewSubject is the subject of that name.
func NewSubject(name string) (Subject, error) {
	if make, ok := subjects[name]; ok {
		return make(), nil
	}
	return nil, fmt.Errorf("no adapter %q (there are %v)", name, SubjectNames())
}

// SubjectNames are the names of all subjects that are known.
func SubjectNames() []string {
	var names []string
	for n := range subjects {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
