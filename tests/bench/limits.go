package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/internal/crowd"
)

const (
	limitsTopic   = "bench-limits"
	idleTopic     = "bench-idle"
	limitsEntries = 100_000
	largeKey      = "large"
	largeSize     = 1_000_000
)

// limits is what many connections, and bounds, cost.
type limits struct {
	*bench
	idleRedis, idleDaemon samples // resident bytes of the process
	floods                []*floodFigures
	costs                 [variants]costFigures
}

func (b *bench) measureLimits(ctx context.Context) ([]section, error) {
	if err := crowd.RaiseFileLimit(uint64(max(b.idle, b.readers)) + 1000); err != nil {
		return nil, err
	}
	if _, err := b.fill(ctx, idleTopic, 1); err != nil {
		return nil, err
	}
	if _, err := b.fill(ctx, limitsTopic, limitsEntries); err != nil {
		return nil, err
	}
	if err := produceLarge(ctx, b.kafka.Bootstrap, limitsTopic); err != nil {
		return nil, err
	}
	l := &limits{bench: b, floods: newFloods()}
	bare, err := b.buildBare(ctx)
	if err != nil {
		return nil, err
	}
	turns := []func() error{
		func() error { return l.idleOfRedis(ctx) },
		func() error { return l.idleOfDaemon(ctx) },
	}
	for _, f := range l.floods {
		turns = append(turns, func() error { return l.flood(ctx, f) })
	}
	turns = append(turns, func() error { return l.cost(ctx, bare) })
	if err := b.inTurn(turns...); err != nil {
		return nil, err
	}
	return []section{l.idleSection(), l.floodSection(), l.costSection()}, nil
}

// produceLarge writes an entry with a value of largeSize bytes.
func produceLarge(ctx context.Context, bootstrap []string, topic string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.ProducerBatchMaxBytes(largeSize+1024), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer client.Close()
	value := make([]byte, 0, largeSize)
	value = append(value, '"')
	for i := uint64(0); len(value) < largeSize-1; i++ {
		value = fmt.Appendf(value, "%016x", mix(i))
	}
	value = append(value[:largeSize-1], '"')
	if err := client.ProduceSync(ctx, &kgo.Record{Key: []byte(largeKey), Value: value}).FirstErr(); err != nil {
		return fmt.Errorf("write a value of %d bytes: %w", largeSize, err)
	}
	return nil
}

// idleOfRedis and idleOfDaemon measure a process with connections that have had one reply.
func (l *limits) idleOfRedis(ctx context.Context) error {
	s, err := l.startRedis(ctx, 1, "--maxclients", strconv.Itoa(l.idle+100))
	if err != nil {
		return err
	}
	return l.measureIdle(ctx, s, &l.idleRedis)
}

func (l *limits) idleOfDaemon(ctx context.Context) error {
	if err := l.awaitQuiet(ctx, "idle connections"); err != nil {
		return err
	}
	s, _, err := l.startDaemon(ctx, idleTopic, "", "--resp-maxclients", strconv.Itoa(l.idle+100))
	if err != nil {
		return err
	}
	return l.measureIdle(ctx, s, &l.idleDaemon)
}

func (l *limits) measureIdle(ctx context.Context, s *server, to *samples) error {
	defer s.proc.Kill()
	all, err := crowd.Gather(ctx, s.addr, l.idle)
	if err != nil {
		return s.error(err)
	}
	defer all.Close()
	m, err := memoryOf(s.proc.PID())
	if err != nil {
		return err
	}
	*to = append(*to, float64(m.resident))
	l.logf("%s: %.1f MB with %d idle connections", s.name, float64(m.resident)/1e6, l.idle)
	all.Close()
	_, err = s.stop()
	return err
}

// wantIdleBytes is the target of all idle connections with the process that has them.
const wantIdleBytes = 200e6

func (l *limits) idleSection() section {
	n := thousands(l.idle)
	row := func(name string, s samples) []string {
		return []string{name, s.over(l.idleRedis).show("%.2f"), s.scaled(1e-6).show("%.1f")}
	}
	return section{
		title:  "Idle connections",
		text:   []string{fmt.Sprintf("What a process with one key takes that has %s connections, each of which has sent a PING and had its reply: all of its resident memory. redis-server has no more clients than that; neither has TLS.", n)},
		tables: []table{{head: []string{"", "resident, redis-server = 1", "resident MB"}, rows: [][]string{row("redis-server", l.idleRedis), row("kafka-cache, in memory", l.idleDaemon)}}},
		targets: []target{
			{"a process with " + n + " idle connections", "under 200 MB", l.idleDaemon.scaled(1e-6).show("%.1f") + " MB", l.idleDaemon.median() < wantIdleBytes},
		},
	}
}
