package respserver

import (
	"errors"
	"fmt"
	"strings"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/respserver/resp"
)

const (
	notInteger = "ERR value is not an integer or out of range"
	syntax     = "ERR syntax error"
)

// fail answers an error.
func (c *conn) fail(text string) { c.out = resp.AppendError(c.out, text) }

// failErr answers an error of the cache in the words that clients act on.
func (c *conn) failErr(err error) { c.fail(c.errorText(c.topic, err)) }

// errorText begins with the code by which client libraries decide whether to try again. LOADING, READONLY and TRYAGAIN are retried
// by some of them, so none of these stands for a write that may be in the log.
func (c *conn) errorText(t *cache.Topic, err error) string {
	var encoding *cache.EncodingError
	var tooLarge *cache.TooLargeError
	var invalid *cache.InvalidError
	pending, isPending := asPending(err)
	switch {
	case isPending:
		return "PENDING " + pending.Position.String() + " the write is in the log of topic " + t.Name() + " and not yet applied by this instance"
	case errors.Is(err, cache.ErrUnknownOutcome):
		return "UNKNOWN the outcome of the write to topic " + t.Name() + " is not known, it may or may not be in the log: " + err.Error()
	case errors.Is(err, cache.ErrNotReady):
		return c.srv.loadingText(t)
	case errors.Is(err, cache.ErrReadOnly):
		return "READONLY topic " + t.Name() + " is read-only here; --read-only=false, or read-only: false of the topic, allows writes"
	case errors.Is(err, cache.ErrEmptyKey):
		return "ERR a record needs a key that is not empty"
	case errors.As(err, &encoding) && errors.Is(err, codec.ErrUnavailable):
		return fmt.Sprintf("TRYAGAIN the %s cannot be encoded as %s for now, nothing was written to topic %s: %v", encoding.Field, encoding.Encoding, t.Name(), encoding.Err)
	case errors.As(err, &encoding):
		return fmt.Sprintf("INVALID the %s is not %s, which --%s-encoding of topic %s asks for: %v", encoding.Field, encoding.Encoding, encoding.Field,
			t.Name(), encoding.Err)
	case errors.As(err, &invalid):
		return invalidText(t, invalid)
	case errors.As(err, &tooLarge):
		return fmt.Sprintf("ERR the record takes %d bytes and topic %s allows %d (max.message.bytes)", tooLarge.Size, t.Name(), tooLarge.Max)
	case errors.Is(err, cache.ErrNotEnoughReplicas):
		return "NOREPLICAS topic " + t.Name() + " has too few in-sync replicas, nothing was written"
	case errors.Is(err, cache.ErrUnauthenticated):
		return "NOPERM Kafka does not take this instance's credentials, nothing was written to topic " + t.Name() + ": " + err.Error()
	case errors.Is(err, cache.ErrNotAuthorized):
		return "NOPERM Kafka's ACLs do not allow this instance to write to topic " + t.Name()
	case errors.Is(err, cache.ErrUnavailable):
		return "TRYAGAIN Kafka is not reachable, nothing was written to topic " + t.Name() + ": " + err.Error()
	case errors.Is(err, kafka.ErrUnknownTopic):
		return "ERR topic " + t.Name() + " does not exist in Kafka any more: what is answered is what it had, and nothing can be written to it"
	case errors.Is(err, cache.ErrOtherTopic):
		if why, more := strings.CutPrefix(err.Error(), cache.ErrOtherTopic.Error()+": "); more { // of this topic, whose log was cut
			return "ERR the token is not of the log that topic " + t.Name() + " has now: " + why
		}
		return "ERR the token belongs to another topic, or to an earlier topic of the same name as " + t.Name()
	case errors.Is(err, cache.ErrClosed):
		return "ERR the instance is shutting down"
	}
	return "ERR " + err.Error()
}

// asPending is what is known of a write that is in the log and was not applied in time.
func asPending(err error) (cache.Written, bool) {
	if err == nil {
		return cache.Written{}, false
	}
	var p *cache.PendingError
	if errors.As(err, &p) {
		return p.Written, true
	}
	return cache.Written{}, false
}

func isPending(err error) bool {
	_, ok := asPending(err)
	return ok
}

// inLog is what is known of a write that is in the log though there is an error: it was not applied in time, or is refused there.
func inLog(err error) (cache.Written, bool) {
	if w, ok := asPending(err); ok || err == nil {
		return w, ok
	}
	var invalid *cache.InvalidError
	if errors.As(err, &invalid) && invalid.Written != nil {
		return *invalid.Written, true
	}
	return cache.Written{}, false
}

// invalidText says what is wrong with a value, and where the record is if there is one.
func invalidText(t *cache.Topic, e *cache.InvalidError) string {
	reason := e.Reason
	if e.Path != "" {
		reason = "at " + e.Path + ": " + reason
	}
	if e.Written == nil {
		return "INVALID the value is not valid for topic " + t.Name() + ", nothing was written: " + reason
	}
	return fmt.Sprintf("INVALID the record is in the log of topic %s (offset %d of partition %d), where its %s rule refuses it: %s",
		t.Name(), e.Written.Offset, e.Written.Partition, e.Rule, reason)
}
