package peers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what a peer may send.
const (
	maxLine   = 1 << 10
	maxName   = 512     // of an instance, a cluster, a topic
	maxToken  = 2 << 20 // 65,536 partitions; of topics that this instance has not, nothing is kept
	maxTopics = 4096
)

// errReply is wrapped by the error of a reply that is none.
var errReply = errors.New("not a reply of another instance")

// replyError is an error that the peer answered.
type replyError string

func (e replyError) Error() string { return "it answered " + strconv.Quote(string(e)) }

// applied is one answer to KAFKA.APPLIED.
type applied struct {
	instance, identity, cluster string
	topics                      []appliedTopic
}

type appliedTopic struct {
	name    string
	serving bool
	turn    int64
	token   string
}

// reader reads replies.
type reader struct{ *bufio.Reader }

// line is one line without its end; the first byte says what it is.
func (r reader) line() (kind byte, rest string, err error) {
	var b []byte
	for {
		part, err := r.ReadSlice('\n')
		b = append(b, part...)
		if len(b) > maxLine {
			return 0, "", fmt.Errorf("%w: a line is longer than %d bytes", errReply, maxLine)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return 0, "", err
		}
	}
	if len(b) < 3 || b[len(b)-2] != '\r' {
		return 0, "", fmt.Errorf("%w: %.64q", errReply, b)
	}
	text := string(b[1 : len(b)-2])
	if b[0] == '-' {
		return 0, "", replyError(text)
	}
	return b[0], text, nil
}

func (r reader) number(kind byte, least, most int64) (int64, error) {
	k, text, err := r.line()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if k != kind || err != nil || n < least || n > most {
		return 0, fmt.Errorf("%w: %q where %q and a number from %d to %d is due", errReply, string(k)+clip(text), string(kind), least, most)
	}
	return n, nil
}

func (r reader) bulk(most int64) (string, error) {
	// What is announced is not believed: the buffer grows as bytes come.
	var b strings.Builder
	if err := r.copyBulk(&b, most); err != nil {
		return "", err
	}
	return b.String(), nil
}

// skip reads a bulk and keeps nothing of it.
func (r reader) skip(most int64) error { return r.copyBulk(io.Discard, most) }

func (r reader) copyBulk(to io.Writer, most int64) error {
	n, err := r.number('$', 0, most)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(to, r.Reader, n); err != nil {
		return err
	}
	var end [2]byte
	if _, err := io.ReadFull(r.Reader, end[:]); err != nil {
		return err
	}
	if end != [2]byte{'\r', '\n'} {
		return fmt.Errorf("%w: a string does not end where it said", errReply)
	}
	return nil
}

// status is a reply that is one line.
func (r reader) status() error {
	k, text, err := r.line()
	if err == nil && k != '+' {
		err = fmt.Errorf("%w: %q", errReply, string(k)+clip(text))
	}
	return err
}

// applied reads an answer to KAFKA.APPLIED, and of it what is about these topics.
func (r reader) applied(topics []string) (a applied, err error) {
	if _, err := r.number('*', 5, 5); err != nil {
		return a, err
	}
	if _, err := r.number(':', Version, Version); err != nil {
		return a, err
	}
	for _, s := range []*string{&a.instance, &a.identity, &a.cluster} {
		if *s, err = r.bulk(maxName); err != nil {
			return a, err
		}
	}
	n, err := r.number('*', 0, maxTopics)
	if err != nil {
		return a, err
	}
	for range n {
		t := appliedTopic{}
		if _, err := r.number('*', 4, 4); err != nil {
			return a, err
		}
		if t.name, err = r.bulk(maxName); err != nil {
			return a, err
		}
		serving, err := r.number(':', 0, 1)
		if err != nil {
			return a, err
		}
		t.serving = serving == 1
		if t.turn, err = r.number(':', 0, 1<<62); err != nil {
			return a, err
		}
		if !slices.Contains(topics, t.name) {
			if err := r.skip(maxToken); err != nil {
				return a, err
			}
			continue
		}
		if slices.ContainsFunc(a.topics, func(before appliedTopic) bool { return before.name == t.name }) {
			return a, fmt.Errorf("%w: it names topic %.64q twice", errReply, t.name)
		}
		if t.token, err = r.bulk(maxToken); err != nil {
			return a, err
		}
		a.topics = append(a.topics, t)
	}
	return a, nil
}

// clip bounds what is repeated of what a peer sent.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
