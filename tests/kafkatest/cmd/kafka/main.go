// Command kafka runs Apache Kafka brokers on loopback until it is interrupted,
// with empty data: the ones that the tests use, for trying things by hand and for
// benchmarks.
//
//	go run ./kafkatest/cmd/kafka [-version 3.9] [-brokers 3] [-set key=value]... [-topic name:partitions]...
//
// Its brokers make no topics by themselves; -topic makes compacted ones.
//
// With -resolve it only gets the jars of every version that tests use.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	o := kafkatest.Options{Overrides: map[string]string{}}
	resolve := flag.Bool("resolve", false, "get the jars of every version and end")
	flag.StringVar(&o.Version, "version", "", "version of Kafka: "+strings.Join(kafkatest.Versions(), ", ")+" (default "+kafkatest.DefaultVersion+")")
	flag.IntVar(&o.Brokers, "brokers", 1, "number of brokers, 1 to 3")
	flag.Func("set", "a broker setting, key=value; may be repeated", func(s string) error {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return fmt.Errorf("%q is not key=value", s)
		}
		o.Overrides[k] = v
		return nil
	})
	var topics []topic
	flag.Func("topic", "a compacted topic to create, name or name:partitions (4); may be repeated", func(s string) error {
		t, err := parseTopic(s)
		topics = append(topics, t)
		return err
	})
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if *resolve {
		for _, v := range kafkatest.Versions() {
			if err := kafkatest.Resolve(ctx, v); err != nil {
				return err
			}
		}
		return nil
	}
	o.Private = true
	c, err := kafkatest.Open(ctx, o)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := create(ctx, c.Bootstrap, topics); err != nil {
		return err
	}
	fmt.Printf("Kafka %s listens on %s\n", c.Version, c.Addr())
	serve := "bin/kafka-cache serve --kafka-bootstrap " + c.Addr()
	for _, t := range topics {
		serve += " --topic " + t.name
	}
	if len(topics) > 0 {
		fmt.Println("To read it, and to write to it:", serve, "--read-only=false")
	}
	<-ctx.Done()
	return nil
}

type topic struct {
	name       string
	partitions int32
}

func parseTopic(s string) (topic, error) {
	name, count, given := strings.Cut(s, ":")
	t := topic{name, 4}
	if given {
		n, err := strconv.ParseInt(count, 10, 32)
		if err != nil || n < 1 {
			return t, fmt.Errorf("%q is not a number of partitions", count)
		}
		t.partitions = int32(n)
	}
	if name == "" {
		return t, fmt.Errorf("%q is neither name nor name:partitions", s)
	}
	return t, nil
}

func create(ctx context.Context, bootstrap []string, topics []topic) error {
	if len(topics) == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for _, t := range topics {
		settings := map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}
		if _, err := admin.CreateTopic(ctx, t.partitions, -1, settings, t.name); err != nil {
			return fmt.Errorf("create topic %s: %w", t.name, err)
		}
	}
	return nil
}
