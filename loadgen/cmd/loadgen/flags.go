package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/core/sample"
	"github.com/yolean/kafka-cache/loadgen"
)

// newFlags is a set that prints nothing by itself and leaves the process alone.
func newFlags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return f
}

// parse reads the arguments; unless ok the command ends with code, and has said why, or what its options are.
func parse(f *flag.FlagSet, args []string, stdout, stderr io.Writer) (code int, ok bool) {
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		printOptions(f, stdout)
		return exitOK, false
	}
	if err == nil && f.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %.64q", f.Arg(0))
	}
	if err != nil {
		fmt.Fprintf(stderr, "loadgen: %v (see \"loadgen %s --help\")\n", err, f.Name())
		return exitUsage, false
	}
	return exitOK, true
}

// printOptions lists the options as the documents write them, with two dashes.
func printOptions(f *flag.FlagSet, w io.Writer) {
	fmt.Fprintf(w, "usage: loadgen %s [options]\n\n", f.Name())
	f.VisitAll(func(o *flag.Flag) {
		value, meaning := flag.UnquoteUsage(o)
		fmt.Fprintf(w, "  --%s", o.Name)
		if value != "" {
			fmt.Fprint(w, " ", value)
		}
		fmt.Fprintf(w, "\n      %s", meaning)
		switch o.DefValue {
		case "", "0", "0s", "false":
		default:
			fmt.Fprintf(w, " (default %s)", o.DefValue)
		}
		fmt.Fprintln(w)
	})
}

// list is a flag that takes values separated by commas, and may be given again.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error {
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			return errors.New("an empty element")
		}
		*l = append(*l, part)
	}
	return nil
}

// targetFlags are those that say where instances are and how to log in there.
type targetFlags struct {
	addrs                     list
	user, passwordFile        string
	tls                       bool
	ca, cert, key, serverName string
	timeout                   time.Duration
}

func (t *targetFlags) register(f *flag.FlagSet) {
	f.Var(&t.addrs, "addr", "`host:port,…` of the instances, repeatable (default 127.0.0.1:6379)")
	f.StringVar(&t.user, "user", "", "`name` to log in as (default: default)")
	f.StringVar(&t.passwordFile, "password-file", "", "`file` with the user's password")
	f.BoolVar(&t.tls, "tls", false, "use TLS towards the instances")
	f.StringVar(&t.ca, "tls-ca", "", "`file` with certificates (PEM) to check the instances' with; implies --tls (default: the system's)")
	f.StringVar(&t.cert, "tls-cert", "", "`file` with a client certificate (PEM); implies --tls")
	f.StringVar(&t.key, "tls-key", "", "`file` with its key (PEM)")
	f.StringVar(&t.serverName, "tls-server-name", "", "`name` that the instances' certificates must have (default: the host of the address)")
	f.DurationVar(&t.timeout, "timeout", 10*time.Second, "how long to wait for a connection, and for each reply")
}

func (t *targetFlags) target() (loadgen.Target, error) {
	target := loadgen.Target{Addrs: t.addrs, User: t.user, Timeout: t.timeout}
	if len(t.addrs) == 0 {
		target.Addrs = []string{"127.0.0.1:6379"}
	}
	var err error
	if target.Password, err = secret("--password-file", t.passwordFile); err != nil {
		return target, err
	}
	if target.TLS, err = tlsConfig(t.tls || t.ca != "" || t.cert != "" || t.serverName != "", t.ca, t.cert, t.key); err != nil {
		return target, err
	}
	if target.TLS != nil {
		target.TLS.ServerName = t.serverName
	}
	return target, target.Validate()
}

// secret is what a file has, without the line break at its end.
func secret(option, file string) (string, error) {
	if file == "" {
		return "", nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", option, err)
	}
	s := strings.TrimRight(string(b), "\r\n")
	if s == "" {
		return "", fmt.Errorf("%s: %s is empty", option, file)
	}
	return s, nil
}

// tlsConfig is nil where it is not wanted.
func tlsConfig(wanted bool, ca, cert, key string) (*tls.Config, error) {
	if !wanted {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate (PEM)", ca)
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("read the client certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// registerModel registers the sizes of the model, which have the same defaults in every command.
func registerModel(f *flag.FlagSet, m *sample.Model) {
	f.IntVar(&m.Organizations, "organizations", 100, "`number` of organizations")
	f.IntVar(&m.Users, "users", 10_000, "`number` of users")
	f.IntVar(&m.Sessions, "sessions", 20_000, "`number` of sessions")
	f.Uint64Var(&m.Seed, "seed", 1, "the same `number` makes the same records")
}

// parseTopics parses names with databases, as in users=0; without one it is the place in the list.
func parseTopics(names []string) ([]loadgen.Topic, error) {
	var topics []loadgen.Topic
	for i, s := range names {
		name, database, given := strings.Cut(s, "=")
		t := loadgen.Topic{Name: name, Database: i}
		if given {
			n, err := strconv.Atoi(database)
			if err != nil || n < 0 {
				return nil, fmt.Errorf("--topics: %.64q: a database is a number", s)
			}
			t.Database = n
		}
		topics = append(topics, t)
	}
	return topics, nil
}

// modelTopics are those of the model, with the databases of the list where it is given.
func modelTopics(names []string) ([]loadgen.Topic, error) {
	if len(names) == 0 {
		return loadgen.Topics(), nil
	}
	topics, err := parseTopics(names)
	for i, s := range names {
		if !strings.Contains(s, "=") && err == nil { // its usual one, not its place in the list
			for _, t := range loadgen.Topics() {
				if t.Name == s {
					topics[i].Database = t.Database
				}
			}
		}
	}
	return topics, err
}
