// Command go tries one of the Go client libraries against the daemon that its environment names, and prints what came of it: see compat.Probe.
//
//	go go-redis|go-redis-resp2|rueidis|redigo
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() {
	libraries := map[string]struct {
		module string
		run    func(*probe)
	}{
		"go-redis":       {"github.com/redis/go-redis/v9", func(p *probe) { tryGoRedis(p, 0) }},
		"go-redis-resp2": {"github.com/redis/go-redis/v9", func(p *probe) { tryGoRedis(p, 2) }},
		"rueidis":        {"github.com/redis/rueidis", tryRueidis},
		"redigo":         {"github.com/gomodule/redigo", tryRedigo},
	}
	if len(os.Args) != 2 || libraries[os.Args[1]].run == nil {
		fmt.Fprintln(os.Stderr, "usage: go go-redis|go-redis-resp2|rueidis|redigo")
		os.Exit(2)
	}
	l := libraries[os.Args[1]]
	host := os.Getenv("COMPAT_HOST")
	p := &probe{
		addr: net.JoinHostPort(host, os.Getenv("COMPAT_PORT")), authAddr: net.JoinHostPort(host, os.Getenv("COMPAT_AUTH_PORT")), tlsAddr: net.JoinHostPort(host, os.Getenv("COMPAT_TLS_PORT")),
		password: os.Getenv("COMPAT_PASSWORD"), prefix: os.Getenv("COMPAT_PREFIX"), columns: strings.Split(os.Getenv("COMPAT_COLUMNS"), ","), answers: bufio.NewReader(os.Stdin),
	}
	p.print(map[string]string{"version": version(l.module)})
	l.run(p)
}

// version is the module's, as this program was built with it.
func version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, d := range info.Deps {
			if d.Path == module {
				return strings.TrimPrefix(d.Version, "v")
			}
		}
	}
	return "unknown"
}

// patience bounds every wait: what reaches it has failed.
const patience = 30 * time.Second

// probe is the environment, and the conversation with who runs this.
type probe struct {
	addr, authAddr, tlsAddr string
	password, prefix        string
	columns                 []string
	answers                 *bufio.Reader
}

func (p *probe) key(name string) string { return p.prefix + name }

func (p *probe) print(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(b))
}

// try tries a column, where it is asked for.
func (p *probe) try(column string, f func() (note string, err error)) {
	if !slices.Contains(p.columns, column) {
		return
	}
	note, err := f()
	if err != nil {
		note = err.Error()
	}
	p.print(map[string]any{"column": column, "ok": err == nil, "note": note})
}

func (p *probe) ask(question map[string]string) error {
	p.print(question)
	answer, err := p.answers.ReadString('\n')
	if err != nil {
		return fmt.Errorf("ask for %s: %w", question["ask"], err)
	}
	if answer = strings.TrimSpace(answer); answer != "ok" {
		return errors.New(answer)
	}
	return nil
}

func (p *probe) produce(key, value string) error {
	return p.ask(map[string]string{"ask": "produce", "key": key, "value": value})
}

func (p *probe) tlsConfig() (*tls.Config, error) {
	pem, err := os.ReadFile(os.Getenv("COMPAT_CA"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in COMPAT_CA")
	}
	return &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}, nil
}

// reconnect has the daemon restarted, and get go on by itself. get reads the seed.
func (p *probe) reconnect(get func() (string, error)) (string, error) {
	if v, err := get(); err != nil || v != seed {
		return "", fmt.Errorf("before: %q, %w", v, err)
	}
	if err := p.ask(map[string]string{"ask": "restart"}); err != nil {
		return "", err
	}
	first := make(chan error, 1)
	go func() { v, err := get(); first <- differs(err, v, seed) }()
	note := "while it loads, GET is tried again and waits"
	select {
	case err := <-first:
		note = fmt.Sprintf("while it loads, GET is shown: %v", err)
	case <-time.After(1500 * time.Millisecond): // long enough for a library that shows it
	}
	if err := p.ask(map[string]string{"ask": "ready"}); err != nil {
		return "", err
	}
	return note, eventually("the value after the restart", func() error { v, err := get(); return differs(err, v, seed) })
}

// seed is what the key of that name holds.
const seed = "truth from the log"

// differs is err, or an error when got is not what was wanted.
func differs[T comparable](err error, got, want T) error {
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("got %.100v, want %.100v", fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", want))
	}
	return nil
}

// lists is differs for lists.
func lists[T comparable](err error, got, want []T) error {
	if err == nil && !slices.Equal(got, want) {
		err = fmt.Errorf("got %.200v, want %.200v", fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", want))
	}
	return err
}

// refused is an error unless err has the word.
func refused(err error, word string) error {
	if err == nil || !strings.Contains(err.Error(), word) {
		return fmt.Errorf("got the error %v, want one with %s", err, word)
	}
	return nil
}

func eventually(what string, ok func() error) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		err := ok()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not within %v: %w", what, patience, err)
		}
	}
}

// callers runs fifty at the same time.
func callers(f func(n int) error) (string, error) {
	var wg sync.WaitGroup
	failures := make([]error, 50)
	for n := range failures {
		wg.Go(func() {
			for range 20 {
				if failures[n] = f(n); failures[n] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return "", errors.Join(failures...)
}

// bytes256 is every byte.
func bytes256() string {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}

// big is 5 MB that do not repeat soon.
func big() string {
	var b strings.Builder
	for n := 0; b.Len() < 5<<20; n++ {
		fmt.Fprintf(&b, "truth %d ", n)
	}
	return b.String()
}

// scannedOnce is an error unless keys are the 300, each at least once, and no other.
func (p *probe) scannedOnce(keys []string) (string, error) {
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if len(keys) != 300 {
		return "", fmt.Errorf("%d keys", len(keys))
	}
	for n := range 300 {
		if _, ok := slices.BinarySearch(keys, p.key(fmt.Sprintf("scan:%d", n))); !ok {
			return "", fmt.Errorf("scan:%d is missing", n)
		}
	}
	return "", nil
}

// waited is an error unless a WAIT that was not reached ended when its 300 ms were over.
func waited(began time.Time) error {
	if d := time.Since(began); d < 290*time.Millisecond || d > 10*time.Second {
		return fmt.Errorf("WAIT of 300 ms took %v", d)
	}
	return nil
}
