package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/respserver/cmd/kafka-cache/internal/compare"
)

// Exit statuses of compare, beside exitConfig for its arguments.
const (
	exitDiffer        = 1
	exitNotComparable = 3
)

const compareUsage = `Usage: kafka-cache compare A B [options]

Asks two instances whether they hold the same of their topics, and waits until the answer is known. A and B are
admin addresses, as host:port or as http URLs. Instances are compared at offsets that both have passed, so neither
writers nor a lag disturb it. A topic agrees when each of its partitions has; a difference is reported when it was
seen twice.

  --topic NAME        a topic to compare; repeatable, or a comma-separated list (default: those that A has)
  --full              compare the values too, which needs both instances at the same position: for quiet topics. Each
                      instance applies nothing while it goes through its values (about 0.1 s for a million keys)
  --timeout DURATION  how long to try (default: 30s)
  --token-file FILE   file with the bearer token that both ask for (the first line of --admin-token-file)
  --tls-ca FILE       certificates (PEM) to check those of https addresses with (default: the system's)
  --tls-cert FILE     client certificate (PEM) for mutual TLS, with --tls-key FILE

One line a topic, and one for each partition that differs. Exit status: 0 all agree; 1 a topic differs; 3 a topic
could not be compared in time, or cannot be as it is configured, and none differs; 2 a usage error.
`

// compareCommand is the exit status, and an error where the arguments cannot be used or nothing can be told.
func compareCommand(args []string, stdout io.Writer) (int, error) {
	cfg, err := parseCompare(args)
	if errors.Is(err, errCompareHelp) {
		_, err := io.WriteString(stdout, compareUsage)
		return exitOK, err
	}
	if err != nil {
		return exitConfig, configError{fmt.Errorf(`%w (see "kafka-cache compare --help")`, err)}
	}
	topics, err := compare.Run(context.Background(), cfg)
	if err != nil {
		return exitNotComparable, err
	}
	if err := compare.Write(stdout, topics); err != nil {
		return exitFailed, err
	}
	code := exitOK
	for _, t := range topics {
		switch t.Agreement {
		case cache.Agree:
		case cache.Differ:
			return exitDiffer, nil
		default:
			code = exitNotComparable
		}
	}
	return code, nil
}

var errCompareHelp = errors.New("help was asked for")

func parseCompare(args []string) (cfg compare.Config, err error) {
	cfg.Timeout = 30 * time.Second
	var addresses []string
	files := map[string]string{} // by option
	for i := 0; i < len(args); i++ {
		if args[i] == "-h" || args[i] == "-help" {
			return cfg, errCompareHelp
		}
		name, isFlag := strings.CutPrefix(args[i], "--")
		if !isFlag {
			addresses = append(addresses, args[i])
			continue
		}
		name, value, hasValue := strings.Cut(name, "=")
		switch {
		case name == "help":
			return cfg, errCompareHelp
		case !slices.Contains(compareOptions, name):
			return cfg, fmt.Errorf("--%.64s: unknown flag", name)
		case hasValue:
		case name == "full":
			value = "true"
		case i+1 == len(args):
			return cfg, fmt.Errorf("--%s: needs a value", name)
		default:
			i++
			value = args[i]
		}
		switch name {
		case "topic":
			for topic := range strings.SplitSeq(value, ",") {
				if topic = strings.TrimSpace(topic); topic == "" {
					return cfg, errors.New("--topic: an empty name")
				}
				cfg.Topics = append(cfg.Topics, topic)
			}
		case "timeout":
			if cfg.Timeout, err = time.ParseDuration(value); err != nil || cfg.Timeout <= 0 {
				return cfg, fmt.Errorf("--timeout: %.64q is not a duration above 0 such as 30s", value)
			}
		case "token-file", "tls-ca", "tls-cert", "tls-key":
			files[name] = value
		case "full":
			if value != "true" && value != "false" {
				return cfg, fmt.Errorf("--full: %.64q is neither true nor false", value)
			}
			cfg.Full = value == "true"
		}
	}
	if len(addresses) != 2 {
		return cfg, fmt.Errorf("two addresses are needed, %d given", len(addresses))
	}
	if cfg.A, err = compare.ParseAddress(addresses[0]); err != nil {
		return cfg, err
	}
	if cfg.B, err = compare.ParseAddress(addresses[1]); err != nil {
		return cfg, err
	}
	return cfg, compareFiles(&cfg, files)
}

var compareOptions = []string{"topic", "timeout", "full", "token-file", "tls-ca", "tls-cert", "tls-key"}

// compareFiles reads what the options name by file.
func compareFiles(cfg *compare.Config, files map[string]string) (err error) {
	if file := files["token-file"]; file != "" {
		tokens, err := readPasswords("--token-file", file)
		if err != nil {
			return err
		}
		cfg.Token = string(tokens[0])
	}
	if (files["tls-cert"] == "") != (files["tls-key"] == "") {
		return errors.New("--tls-cert and --tls-key are given together")
	}
	if files["tls-ca"] != "" || files["tls-cert"] != "" {
		cfg.TLS, err = outgoingTLS("--tls", files["tls-ca"], files["tls-cert"], files["tls-key"], "")
	}
	return err
}
