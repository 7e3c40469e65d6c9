// Command demo shows the daemon at work: it runs `kafka-cache serve --dev`, waits
// until that is ready, reads one user by its UUID over the Redis protocol, and
// stops the daemon again.
//
//	demo PATH-OF-KAFKA-CACHE
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// The addresses that --dev listens on by default.
const (
	respAddr  = "127.0.0.1:6379"
	adminAddr = "127.0.0.1:8080"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: demo PATH-OF-KAFKA-CACHE")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := run(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary string) (err error) {
	began := time.Now()
	fmt.Printf("$ %s serve --dev\n", binary)
	d, err := startDaemon(ctx, binary, freeAddr(respAddr), freeAddr(adminAddr))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	if err := d.waitReady(ctx); err != nil {
		return err
	}
	fmt.Printf("ready after %v: a Kafka-protocol broker in the same process, its topics read into the cache\n", time.Since(began).Round(time.Millisecond))

	c, err := dial(ctx, d.respAddr)
	if err != nil {
		return err
	}
	defer c.Close()
	users, err := c.do("DBSIZE")
	if err != nil {
		return err
	}
	id, err := c.do("RANDOMKEY")
	if err != nil {
		return err
	}
	user, err := c.do("GET", id)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(d.respAddr)
	if err != nil {
		return err
	}
	cli := "redis-cli"
	if port != "6379" {
		cli += " -p " + port
	}
	fmt.Printf("$ %s DBSIZE\n%s\n", cli, users)
	fmt.Printf("$ %s GET %s\n%s\n", cli, id, user)
	fmt.Printf("To look around yourself: %s serve --dev\n", binary)
	return nil
}

// freeAddr is addr, or a free port on its host when something listens there already.
func freeAddr(addr string) string {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "127.0.0.1:0"
	}
	l.Close()
	return addr
}
