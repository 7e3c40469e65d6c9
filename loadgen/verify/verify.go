package verify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/yolean/kafka-cache/loadgen"
)

// Verify compares topics of instances with their logs. Keys and values have to be in the log as clients see them: key-encoding
// utf-8 or binary, value-encoding json, utf-8 or binary, and no resolver or rule that changes or refuses records.
type Verify struct {
	loadgen.Target
	Topics []loadgen.Topic // names in Kafka, and the databases that they are

	Bootstrap []string
	KafkaTLS  *tls.Config
	SASL      sasl.Mechanism // nil: none

	// Memory bounds what is held of the log's keys, in bytes: about 176 and the key's own for each. Where the keys are more,
	// the log is read several times, a part of the keys each time. 0: 512 MiB.
	Memory int64
	Wait   time.Duration // for an instance to have applied what the log has; 0: a minute
	Named  int           // differences that are named, of each topic in each instance; 0: 20
	// Each, where not nil, is called now and then, from one goroutine at a time.
	Each func(Progress)
}

// Progress is where a comparison is.
type Progress struct {
	Topic   string
	Address string // empty: the log is read
	Pass    int    // from 1
	Done    int64
	Total   int64 // offsets of the log, keys of an instance
	Waiting bool  // for the instance to apply what the log has
}

// Validate names the first field that is wrong.
func (v Verify) Validate() error {
	if err := v.Target.Validate(); err != nil {
		return err
	}
	switch {
	case len(v.Topics) == 0:
		return errors.New("loadgen: a topic is needed")
	case len(v.Bootstrap) == 0:
		return errors.New("loadgen: the address of a broker is needed")
	case v.Memory < 0 || v.Wait < 0 || v.Named < 0:
		return errors.New("loadgen: memory, time and number are not negative")
	}
	return nil
}

// Run compares. A difference is no error, nor is an instance that cannot be compared; an error is that the log could not be
// read, or ctx's.
func (v Verify) Run(ctx context.Context) (Result, error) {
	began := time.Now()
	result := Result{Schema: Schema, Started: began.UTC(), Verdict: Agrees, Topics: []TopicLog{}, Instances: []Comparison{}}
	if err := v.Validate(); err != nil {
		return result, err
	}
	if v.Memory == 0 {
		v.Memory = 512 << 20
	}
	if v.Wait == 0 {
		v.Wait = time.Minute
	}
	if v.Named == 0 {
		v.Named = 20
	}
	opts := []kgo.Opt{kgo.SeedBrokers(v.Bootstrap...), kgo.ClientID("loadgen-verify"), kgo.RequestTimeoutOverhead(10 * time.Second)}
	if v.KafkaTLS != nil {
		opts = append(opts, kgo.DialTLSConfig(v.KafkaTLS))
	}
	if v.SASL != nil {
		opts = append(opts, kgo.SASL(v.SASL))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return result, fmt.Errorf("loadgen: %w", err)
	}
	defer client.Close()
	for _, t := range v.Topics {
		topic, comparisons, err := v.topic(ctx, client, t)
		if err == nil || len(topic.Partitions) > 0 { // there is something to say of it
			result.Topics = append(result.Topics, topic)
		}
		result.Instances = append(result.Instances, comparisons...)
		if err != nil {
			return result, fmt.Errorf("loadgen: %w", err)
		}
		for _, c := range comparisons {
			result.Verdict = result.Verdict.worse(c.Verdict)
		}
	}
	result.Elapsed = time.Since(began).Seconds()
	return result, nil
}

// topic compares one topic of all instances.
func (v *Verify) topic(ctx context.Context, client *kgo.Client, t loadgen.Topic) (TopicLog, []Comparison, error) {
	result := TopicLog{Name: t.Name, Database: t.Database, Partitions: []PartitionLog{}}
	log, err := openLog(ctx, client, t.Name)
	if err != nil {
		return result, nil, err
	}
	for _, p := range slices.Sorted(maps.Keys(log.end)) {
		result.Partitions = append(result.Partitions, PartitionLog{p, log.start[p], log.end[p]})
	}
	instances := make([]*instance, len(v.Addrs))
	for i, addr := range v.Addrs {
		instances[i] = newInstance(v, log, addr, t)
		defer instances[i].close()
	}
	comparisons := func() (all []Comparison) {
		for _, i := range instances {
			all = append(all, i.result)
		}
		return all
	}
	for low, number := uint64(0), 1; ; number++ {
		table := newTable(low, v.Memory)
		if err := v.fill(ctx, log, table, number); err != nil {
			return result, comparisons(), err
		}
		result.Passes = number
		result.Records += table.records
		for _, e := range table.entries {
			if !e.deleted {
				result.Keys++
			}
		}
		for n, i := range instances {
			i.compare(ctx, table, n+1, number)
			if err := ctx.Err(); err != nil {
				return result, comparisons(), err
			}
		}
		if table.high == math.MaxUint64 {
			return result, comparisons(), nil
		}
		low = table.high + 1
	}
}

// fill reads the log up to its ends.
func (v *Verify) fill(ctx context.Context, log *topicLog, t *table, pass int) error {
	var passed atomic.Int64
	total := span(log.start, log.end)
	told := v.telling(func() Progress { return Progress{Topic: log.name, Pass: pass, Done: passed.Load(), Total: total} })
	defer told()
	return log.read(ctx, log.start, log.end, &passed, func(_ int32, records []*kgo.Record) error {
		t.add(records)
		return nil
	})
}

// telling calls Each every quarter of a second until what it returns is called.
func (v *Verify) telling(what func() Progress) (stop func()) {
	if v.Each == nil {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				v.Each(what())
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}
