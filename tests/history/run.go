package history

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Config says what to run.
type Config struct {
	Seed     uint64
	Brokers  int           // 1 or 3
	Duration time.Duration // of the clients' steps; starting, healing and checking come on top
	Binary   string        // kafka-cache
	Broken   string        // the fault of a binary built with BrokenTag; empty: none
	Dir      string        // for the instances' data and logs and, in case of a violation, its visualisation; it must exist
	Logf     func(format string, args ...any)
}

// Report is what a run did and found.
type Report struct {
	Verdict
	Events   map[string]int // by command and outcome
	Faults   map[FaultKind]int
	Records  int      // in the log
	Troubles []string // what is wrong apart from the history: an instance that ended by itself, one that never became ready
	Took     time.Duration
}

// Failed reports whether the run found anything, or could not decide.
func (r *Report) Failed() bool {
	return len(r.Violations) > 0 || len(r.Undecided) > 0 || len(r.Troubles) > 0
}

// run is a run's state.
type run struct {
	Config
	plan      *Plan
	cluster   *cluster
	topic     string
	instances []*instance
	began     time.Time

	mu          sync.Mutex
	annotations []porcupine.Annotation
	deposed     []span
	faults      map[FaultKind]int
	troubles    []string
}

// longRun is from when on a run has the faults that take long to heal.
const longRun = time.Minute

// Run runs the plan of the seed and checks what it recorded. The error is of what the run itself needs: Kafka, files.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	began := time.Now()
	r := &run{Config: cfg, plan: NewPlan(cfg.Seed, cfg.Brokers, cfg.Duration >= longRun), faults: map[FaultKind]int{}, topic: fmt.Sprintf("history-%d", cfg.Seed)}
	var err error
	if r.cluster, err = startCluster(ctx, cfg.Brokers); err != nil {
		return nil, err
	}
	defer r.cluster.close()
	if err := r.cluster.createTopic(ctx, r.topic); err != nil {
		return nil, err
	}
	defer func() {
		for _, in := range r.instances {
			in.close()
		}
	}()
	for i := range instances {
		if err := r.startInstance(ctx, i, i == 1, "--data-dir", filepath.Join(cfg.Dir, "data-"+instanceName(i)), "--peers", r.cluster.peers()); err != nil {
			return nil, err
		}
	}
	cfg.Logf("seed %d: ready after %v", cfg.Seed, time.Since(began).Round(time.Millisecond))
	events := r.load(ctx)
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	last, err := r.finish(ctx, keysOf(events))
	if err != nil {
		return nil, err
	}
	events = append(events, last)
	log, err := readLog(ctx, r.cluster, r.topic)
	if err != nil {
		return nil, err
	}
	report := &Report{Events: map[string]int{}, Faults: r.faults}
	for _, of := range events {
		for i := range of {
			name, _, _ := strings.Cut(of[i].Command, " ")
			if of[i].Counted > 0 {
				name += fmt.Sprintf(" counting %d", of[i].Counted)
			}
			report.Events[fmt.Sprintf("%s %v", name, of[i].Outcome)]++
		}
	}
	for _, k := range log {
		report.Records += len(k.Records)
	}
	checked := time.Now()
	verdict, err := check(events, log, r.deposed, cfg.Dir, r.annotations)
	if err != nil {
		return nil, err
	}
	cfg.Logf("checked in %v", time.Since(checked).Round(time.Millisecond))
	report.Verdict, report.Troubles, report.Took = *verdict, r.troubles, time.Since(began)
	for _, in := range r.instances {
		for _, f := range in.faults {
			report.Troubles = append(report.Troubles, fmt.Sprintf("instance %s: %s; its log is %s", instanceName(in.index), f, in.logFile.Name()))
		}
	}
	return report, nil
}

func (r *run) startInstance(ctx context.Context, i int, acknowledged bool, args ...string) error {
	in, err := newInstance(i, r.Binary, r.Dir, r.Broken, append([]string{"--kafka-bootstrap", r.cluster.bootstrap(i), "--topic", r.topic, "--read-only=false",
		"--identity", "history." + instanceName(i), "--value-encoding", "utf-8", "--apply-timeout", "500ms"}, args...)...)
	if err != nil {
		return err
	}
	if i < instances {
		in.front = r.cluster.fronts[i]
	}
	r.instances = append(r.instances, in)
	if err := in.start(ctx, acknowledged); err != nil {
		return err
	}
	return in.ready(ctx)
}

// load runs clients and faults for the run's duration, and returns what each client recorded.
func (r *run) load(ctx context.Context) [][]Event {
	r.began = time.Now()
	ctx, cancel := context.WithTimeout(ctx, r.Duration)
	defer cancel()
	all := make([]*client, clients)
	var wg sync.WaitGroup
	for i := range all {
		all[i] = newClient(i, r.began, r.instances)
		wg.Go(func() { all[i].run(ctx, r.plan) })
	}
	wg.Go(func() { r.faultsOf(ctx, r.plan.instanceFaults()) })
	wg.Go(func() { r.faultsOf(ctx, r.plan.brokerFaults()) })
	wg.Wait()
	events := make([][]Event, len(all))
	for i, c := range all {
		events[i] = c.events
	}
	return events
}

// trouble notes what is wrong apart from the history.
func (r *run) trouble(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.troubles = append(r.troubles, fmt.Sprintf(format, args...))
}

// faultsOf does one fault after the other; one that has begun is healed before it returns.
func (r *run) faultsOf(ctx context.Context, list *faults) {
	for {
		f := list.next()
		if !sleep(ctx, f.After) {
			return
		}
		from := time.Since(r.began)
		r.Logf("%7.3f s: %v", from.Seconds(), f)
		if err := r.fault(ctx, f); err != nil {
			r.trouble("%v at %v: %v", f, from, err)
			return
		}
		to := time.Since(r.began)
		r.mu.Lock()
		r.faults[f.Kind]++
		tag := "brokers"
		if f.Kind <= lastInstanceFault {
			tag = "instance " + instanceName(f.Target)
		}
		if f.Kind == PauseBroker && r.Brokers > 1 {
			r.deposed = append(r.deposed, span{from, to + deposedFor})
		}
		r.annotations = append(r.annotations, porcupine.Annotation{Tag: tag, Start: int64(from), End: int64(to), Description: f.Kind.String(), Details: f.String()})
		r.mu.Unlock()
	}
}

// sleep reports whether ctx lasted for d.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// fault does f and heals it, also where ctx ends meanwhile.
func (r *run) fault(ctx context.Context, f Fault) error {
	healing := context.WithoutCancel(ctx)
	if f.Kind <= lastInstanceFault {
		in := r.instances[f.Target]
		switch f.Kind {
		case KillInstance, StopInstance:
			if f.Kind == KillInstance {
				in.kill()
			} else {
				in.stop()
			}
			sleep(ctx, f.For)
			if err := in.start(healing, f.Acknowledged); err != nil {
				return err
			}
			// A broker may be away; the wait for readiness is part of the end, or of the next fault.
			return nil
		case PauseInstance:
			in.pause()
			sleep(ctx, f.For)
			in.resume()
		case CutFromBrokers:
			for _, p := range r.cluster.proxies[f.Target] {
				p.cut(false)
			}
		case IsolateInstance:
			for _, p := range r.cluster.proxies[f.Target] {
				p.cut(true)
			}
			sleep(ctx, f.For)
			for _, p := range r.cluster.proxies[f.Target] {
				p.allow()
			}
		case IsolateFromPeers:
			r.cluster.fronts[f.Target].cut(true)
			sleep(ctx, f.For)
			r.cluster.fronts[f.Target].allow()
		case CutClients:
			return r.cutClients(in)
		}
		return nil
	}
	b := r.cluster.kafka.Brokers[f.Target]
	if f.Kind == PauseBroker {
		b.Pause()
		sleep(ctx, f.For)
		b.Resume()
	} else {
		b.Kill()
		sleep(ctx, f.For)
		if err := b.Start(); err != nil {
			return err
		}
		starting, cancel := context.WithTimeout(healing, 60*time.Second)
		defer cancel()
		if err := b.WaitReady(starting); err != nil {
			return err
		}
	}
	// Two brokers of three must be there for any write: the next fault is for when all are in sync again.
	syncing, cancel := context.WithTimeout(healing, 60*time.Second)
	defer cancel()
	return r.cluster.awaitReplicas(syncing, r.topic)
}

// cutClients has the instance close all its connections. One that does not answer is not a trouble: it may be loading.
func (r *run) cutClients(in *instance) error {
	l := in.current()
	if l == nil {
		return nil
	}
	c, err := dial(l.resp, time.Second)
	if err != nil {
		return nil
	}
	defer c.Close()
	if err := c.send(time.Now().Add(3*time.Second), []string{"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}); err != nil {
		return nil
	}
	if reply, err := c.receive(); err == nil && reply.kind != ':' {
		return fmt.Errorf("CLIENT KILL answers %v", reply)
	}
	return nil
}

// keysOf are all keys that clients have named.
func keysOf(events [][]Event) []string {
	named := map[string]bool{}
	for _, of := range events {
		for i := range of {
			if key := of[i].Key; key != "" {
				named[key] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(named))
}

// finish waits until all is well, starts an instance from nothing, and reads every key on all of them after they have all that was
// written. What it did is one more client's history.
func (r *run) finish(ctx context.Context, keys []string) ([]Event, error) {
	for _, in := range r.instances {
		if err := in.ready(ctx); err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			r.trouble("%v, after all was healed", err)
			return nil, nil
		}
	}
	if err := r.startInstance(ctx, instances, false); err != nil {
		return nil, err
	}
	c := newClient(clients, r.began, r.instances)
	defer c.close()
	c.patience = time.Minute
	var token string
	for i := range 16 * partitions { // enough that every partition has one of them
		if !c.send(0, c.set(fmt.Sprintf("end-%d", i)), c.lastWrite(&token)) {
			return nil, errors.New("history: the last writes were not answered")
		}
	}
	for i := range r.instances {
		if c.send(i, c.waitToken(token, 30*time.Second)) && c.events[len(c.events)-1].Covers == nil {
			r.trouble("instance %s did not reach %s within 30 s, after all was healed: %v", instanceName(i), token, c.events[len(c.events)-1].Reply)
		}
		for some := range slices.Chunk(keys, 50) {
			var gets []command
			for _, key := range some {
				gets = append(gets, c.get(key, none))
			}
			if !c.send(i, gets...) {
				return nil, fmt.Errorf("history: the last reads were not answered: %v", &c.events[len(c.events)-1])
			}
		}
	}
	for _, in := range r.instances {
		in.stop()
	}
	return c.events, nil
}
