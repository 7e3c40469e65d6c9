// Command kafka runs Apache Kafka brokers on loopback until it is interrupted,
// with empty data: the ones that the tests use, for trying things by hand and for
// benchmarks.
//
//	go run ./kafkatest/cmd/kafka [-version 3.9] [-brokers 3] [-set key=value]...
//
// With -resolve it only gets the jars of every version that tests use.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

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
	fmt.Printf("Kafka %s listens on %s\n", c.Version, c.Addr())
	<-ctx.Done()
	return nil
}
