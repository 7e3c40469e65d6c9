package kafkatest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/tests/internal/childproc"
)

const (
	consoleConsumer = "org.apache.kafka.tools.consumer.ConsoleConsumer"
	groupCommand    = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
)

// toolbox runs the command line tools that Kafka ships.
type toolbox struct {
	version version
	java    string
	home    home
	err     error // why there are none
}

// Tool runs the main class of one of Kafka's tools and returns what it printed
// on standard output and on standard error. The latter is in an error's text too.
func (c *Cluster) Tool(ctx context.Context, stdin io.Reader, class string, args ...string) (stdout, stderr []byte, err error) {
	if c.tools.err != nil {
		return nil, nil, noKafka(c.tools.version, c.tools.err)
	}
	cp, err := c.tools.home.classPath()
	if err != nil {
		return nil, nil, err
	}
	jvm := append([]string{"-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Dfile.encoding=UTF-8"}, simpleLogger("warn")...)
	cmd := exec.CommandContext(ctx, c.tools.java, append(append(jvm, "-cp", cp, class), args...)...)
	cmd.Stdin = stdin
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := childproc.Run(cmd); err != nil {
		err = fmt.Errorf("%s: %w\n%s", class[strings.LastIndexByte(class, '.')+1:], err, errs.Bytes())
		return out.Bytes(), errs.Bytes(), err
	}
	return out.Bytes(), errs.Bytes(), nil
}

// toolTimeout ends a tool that hangs; each runs for a second or two.
const toolTimeout = time.Minute

func (c *Cluster) tool(tb testing.TB, stdin io.Reader, class string, args ...string) (stdout, stderr []byte) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), toolTimeout)
	defer cancel()
	stdout, stderr, err := c.Tool(ctx, stdin, class, append([]string{"--bootstrap-server", c.Addr()}, args...)...)
	if err != nil {
		tb.Fatal(err)
	}
	return stdout, stderr
}
