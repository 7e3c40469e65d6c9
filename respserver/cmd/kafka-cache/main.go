package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/respserver"
	"github.com/yolean/kafka-cache/respserver/cmd/kafka-cache/internal/config"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitConfig = 2
)

func main() {
	os.Exit(command(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

const usage = `Usage: kafka-cache COMMAND

Commands:
  serve     serve Kafka topics over the Redis protocol (--dev: without Kafka, with sample data)
  config    check the configuration that serve would have, and print what is in effect
  compare   tell whether two instances hold the same
  version   print the version
  help      print this; "help serve" and "help compare" print their options ("serve --help" too)
`

func command(args, environ []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		return fail(stderr, configError{errors.New(`no command is given: see "kafka-cache help"`)})
	}
	var err error
	status := exitOK
	switch name, rest := args[0], args[1:]; name {
	case "serve":
		err = serveCommand(rest, environ, stdout, stderr)
	case "config":
		err = configCommand(rest, environ, stdout, stderr)
	case "compare":
		status, err = compareCommand(rest, stdout)
	case "version", "--version":
		err = noArguments(rest, func() error {
			_, err := fmt.Fprintln(stdout, "kafka-cache", versionText())
			return err
		})
	case "docs": // not listed: it makes docs/configuration.md and, with schema, docs/kafka-cache.schema.json
		if len(rest) == 1 && rest[0] == "schema" {
			err = config.WriteSchema(stdout)
			break
		}
		err = noArguments(rest, func() error { return config.WriteDocs(stdout) })
	case "help", "--help", "-h":
		if len(rest) == 1 && (rest[0] == "serve" || rest[0] == "config") {
			err = config.WriteHelp(stdout)
			break
		}
		if len(rest) == 1 && rest[0] == "compare" {
			_, err = io.WriteString(stdout, compareUsage)
			break
		}
		if len(rest) > 0 && rest[0] != "help" && rest[0] != "version" {
			err = configError{fmt.Errorf("there is no command %.64q: see \"kafka-cache help\"", rest[0])}
			break
		}
		_, err = io.WriteString(stdout, usage)
	default:
		err = configError{fmt.Errorf("unknown command %.64q: see \"kafka-cache help\"", name)}
	}
	if errors.Is(err, config.ErrHelp) {
		err = config.WriteHelp(stdout)
	}
	if err != nil {
		return max(status, fail(stderr, err))
	}
	return status
}

func noArguments(args []string, f func() error) error {
	if len(args) > 0 {
		return configError{fmt.Errorf("unexpected argument %.64q", args[0])}
	}
	return f()
}

// configError is an error that another configuration would mend.
type configError struct{ err error }

func (e configError) Error() string { return e.err.Error() }
func (e configError) Unwrap() error { return e.err }

// fail prints one line and chooses the exit status.
func fail(stderr io.Writer, err error) int {
	text := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	fmt.Fprintln(stderr, "kafka-cache:", text)
	var c configError
	if errors.As(err, &c) || errors.Is(err, cache.ErrConfig) || errors.Is(err, respserver.ErrConfig) {
		return exitConfig
	}
	return exitFailed
}

// load is config.Load, whose warnings go to stderr where there is no logger yet.
func load(args, environ []string) (*config.Config, []string, error) {
	c, warnings, err := config.Load(args, environ)
	if err != nil && !errors.Is(err, config.ErrHelp) {
		err = configError{err}
	}
	return c, warnings, err
}

// configCommand checks all that can be checked without a listener and without Kafka.
func configCommand(args, environ []string, stdout, stderr io.Writer) error {
	c, warnings, err := load(args, environ)
	for _, w := range warnings {
		fmt.Fprintln(stderr, "kafka-cache: warning:", w)
	}
	if err != nil {
		return err
	}
	if _, err := readMaterial(c); err != nil {
		return configError{err}
	}
	if err := checkDataDir(c.DataDir); err != nil {
		return configError{err}
	}
	return c.WriteEffective(stdout)
}
