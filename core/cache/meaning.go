package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/policy"
	"github.com/yolean/kafka-cache/core/store"
)

// ReadPolicy is what becomes of records as they are read.
type ReadPolicy struct {
	// Rule is checked on every value, once it is decoded and before it is resolved; nil: none.
	Rule *policy.ValueRule
	// OnInvalid is what becomes of a record whose value Rule refuses, and of one that does not decode or resolve: policy.Delete by default. What does not
	// decode cannot be kept, and is deleted then; a key that does not decode is passed over.
	OnInvalid policy.Outcome
}

// MutationPolicy is what becomes of changes.
type MutationPolicy struct {
	// Rule is checked on every value that a key is to get, once the record is resolved; nil: none. Deletions are not checked.
	Rule *policy.MutationRule
	// OnInvalid is what becomes of a record that leads to a change which Rule refuses: policy.Skip by default. It is the record as a whole that is refused.
	OnInvalid policy.Outcome
}

// Rules under which a record or a write is refused, as they stand in metrics and in [InvalidRecord].
const (
	RuleWrite    = "write"    // TopicConfig.ValidateWrite
	RuleRead     = "read"     // TopicConfig.ValidateRead
	RuleMutation = "mutation" // TopicConfig.ValidateMutation
	RuleDecode   = "decode"   // the key's or value's encoding
	RuleResolver = "resolver" // TopicConfig.Resolver
)

var ruleNames = []string{RuleWrite, RuleRead, RuleMutation, RuleDecode, RuleResolver}

// meaning is what a topic's records mean beyond their encoding.
type meaning struct {
	write      *policy.ValueRule
	read       *policy.ValueRule
	resolver   *policy.Resolver
	mutation   *policy.MutationRule
	onRead     policy.Outcome
	onMutation policy.Outcome
}

func newMeaning(cfg *TopicConfig) meaning {
	return meaning{
		write: cfg.ValidateWrite, read: cfg.ValidateRead.Rule, resolver: cfg.Resolver, mutation: cfg.ValidateMutation.Rule,
		onRead: cfg.ValidateRead.OnInvalid.Or(policy.Delete), onMutation: cfg.ValidateMutation.OnInvalid.Or(policy.Skip),
	}
}

var errNoRule = errors.New("a rule for values has no name or nothing to check with")

func validateMeaning(cfg *TopicConfig) error {
	if r := cfg.Resolver; r != nil && (r.Name == "" || r.Resolve == nil) {
		return fmt.Errorf("the resolver has no name or nothing to resolve with")
	}
	for _, r := range []*policy.ValueRule{cfg.ValidateWrite, cfg.ValidateRead.Rule} {
		if r != nil && (r.Name == "" || r.Check == nil) {
			return errNoRule
		}
	}
	switch r := cfg.ValidateMutation.Rule; {
	case r != nil && (r.Name == "" || r.Check == nil):
		return fmt.Errorf("the rule for mutations has no name or nothing to check with")
	case r == nil && cfg.ValidateMutation.OnInvalid != policy.Default:
		return fmt.Errorf("there is an outcome for invalid mutations and no rule that finds any")
	}
	switch {
	case cfg.DeadLetterTopic == cfg.Name && cfg.Name != "":
		return fmt.Errorf("its dead-letter topic is the topic itself")
	case cfg.DeadLetterTopic != "" && !legalTopic(cfg.DeadLetterTopic):
		return fmt.Errorf("the dead-letter topic %.300q is not a legal topic name", cfg.DeadLetterTopic)
	}
	return nil
}

// projects says that records yield other keys than their own, so that readers see a view of what the store has.
func (m *meaning) projects() bool { return m.resolver != nil && !m.resolver.OwnKey }

// plain says that a record's value is the decoded one, whatever it is.
func (m *meaning) plain() bool { return m.read == nil && m.resolver == nil && m.mutation == nil }

// refuses says that a record may come to something else than its write was for.
func (m *meaning) refuses() bool { return !m.plain() }

// history is why what is here may be other than what an instance of another age has; "" where it may not.
func (m *meaning) history() string {
	switch {
	case m.mutation != nil:
		return "a mutation rule depends on what an instance has seen"
	case m.onRead == policy.Skip:
		return "an invalid record that is skipped leaves what an instance has seen before"
	}
	return ""
}

// yieldsMany marks rules of stores whose entries are yields.
const yieldsMany = " yields=many"

// rules is the part of Topic.rules that is the meaning's; "" for a plain one. Texts stand there as hashes.
func (m *meaning) rules() string {
	var b strings.Builder
	name := func(what, text string) {
		sum := sha256.Sum256([]byte(text))
		fmt.Fprintf(&b, " %s=%s", what, hex.EncodeToString(sum[:8]))
	}
	if m.resolver != nil {
		name("resolver", m.resolver.Name)
	}
	if m.projects() {
		b.WriteString(yieldsMany)
	}
	if m.read != nil {
		name("read", m.read.Name)
	}
	if m.onRead != policy.Delete {
		fmt.Fprintf(&b, " on-invalid=%s", m.onRead)
	}
	if m.mutation != nil {
		name("mutation", m.mutation.Name)
		fmt.Fprintf(&b, " on-invalid-mutation=%s", m.onMutation)
	}
	return b.String()
}

// verdict is what a record comes to: what the store is to do, and why the record is refused where it is.
type verdict struct {
	mutation store.Mutation
	none     bool // there is nothing for the store
	refusal  *refusal
	stop     bool
}

// refusal is a record that is refused.
type refusal struct {
	rule    string
	err     error
	outcome policy.Outcome
	record  *kafka.Record
	key     []byte // decoded, nil where it does not decode
}

// judging is whose records are judged, and how.
type judging struct {
	ctx       context.Context
	topic     *Topic
	partition int32
	before    func(dst, key []byte) ([]byte, bool, error) // what the store has of a key
	waits     bool                                        // for what a codec lacks; otherwise that is an error
}

// decoded decodes a key or value. Its error is the record's, ctx's, or codec.ErrUnavailable where it does not wait for that.
func (s *scratch) decoded(j *judging, c codec.Codec, offset int64, b []byte) ([]byte, error) {
	out, err := s.decode(c, b)
	if err != nil && j.waits && errors.Is(err, codec.ErrUnavailable) {
		return s.await(j.ctx, j.topic, j.partition, offset, c, b, err)
	}
	return out, err
}

// judge says what a record with a key comes to. It decodes, checks, resolves and compares with what the key has, in that order. Its error is ctx's,
// the store's, or codec.ErrUnavailable where it is not to wait.
func (s *scratch) judge(j *judging, r *kafka.Record) (v verdict, err error) {
	t, partition := j.topic, j.partition
	m := &t.meaning
	refuse := func(rule string, err error, o policy.Outcome) {
		v.refusal = &refusal{rule: rule, err: err, outcome: o, record: r, key: v.mutation.Key}
		v.stop = o == policy.Stop
		switch o {
		case policy.Delete:
			v.mutation.Tombstone, v.mutation.Value = true, nil
		case policy.Skip:
			v.mutation.Hold, v.mutation.Value = true, nil
		}
	}
	key, err := s.decoded(j, t.keyCodec, r.Offset, r.Key)
	if err == nil && len(key) == 0 {
		err = ErrEmptyKey // of a codec of somebody else's
	}
	if err != nil {
		if j.ctx.Err() != nil || errors.Is(err, codec.ErrUnavailable) {
			return v, err
		}
		o := m.onRead
		if o != policy.Stop {
			o, v.none = policy.Skip, true // there is no key to take anything from
		}
		refuse(RuleDecode, fmt.Errorf("the key: %w", err), o)
		return v, nil
	}
	v.mutation = store.Mutation{Key: key, Offset: r.Offset, Timestamp: r.Timestamp, Headers: s.keep(r.Headers)}
	if r.Value == nil {
		v.mutation.Tombstone = true
		return v, nil
	}
	value, err := s.decoded(j, t.valueCodec, r.Offset, r.Value)
	if err != nil {
		if j.ctx.Err() != nil || errors.Is(err, codec.ErrUnavailable) {
			return v, err
		}
		o := m.onRead
		if o == policy.Keep {
			o = policy.Delete
		}
		refuse(RuleDecode, fmt.Errorf("the value: %w", err), o)
		return v, nil
	}
	if m.plain() {
		v.mutation.Value = value
		return v, nil
	}
	if m.read != nil {
		if err := m.read.Check(key, value); err != nil {
			if refuse(RuleRead, err, m.onRead); m.onRead != policy.Keep {
				return v, nil
			}
		}
	}
	rec := policy.Record{Topic: t.name, Partition: partition, Offset: r.Offset, Timestamp: r.Timestamp, Key: key, Value: value, Headers: s.policyHeaders(r.Headers)}
	y := &s.yields
	y.Reset()
	if err := m.resolve(&rec, y); err != nil {
		if refuse(RuleResolver, err, m.onRead); m.onRead != policy.Keep {
			return v, nil
		}
		y.Reset()
		y.Own(value)
	}
	s.yieldTo(y, key)
	if m.mutation != nil {
		old, err := s.newest(key, j.before)
		if err != nil {
			return v, err
		}
		reason, err := s.checkMutations(m, &rec, old)
		if err != nil {
			return v, err
		}
		if reason != nil {
			if refuse(RuleMutation, reason, m.onMutation); m.onMutation != policy.Keep {
				return v, nil
			}
		}
	}
	own, hasOwn := s.own, s.hasOwn
	switch {
	case !hasOwn && len(s.others) == 0:
		v.mutation.Tombstone = true // what it yielded before, it does no more
	case m.projects():
		if hasOwn && own == nil {
			own = []byte{}
		}
		from := len(s.arena)
		s.arena = store.AppendYield(s.arena, own, s.others)
		v.mutation.Value = s.arena[from:len(s.arena):len(s.arena)]
	default:
		v.mutation.Value = own
	}
	return v, nil
}

// resolve runs the resolver, or yields the value itself where there is none.
func (m *meaning) resolve(r *policy.Record, y *policy.Yields) error {
	if m.resolver == nil {
		y.Own(r.Value)
		return nil
	}
	if err := m.resolver.Resolve(r, y); err != nil {
		return err
	}
	if err := y.Err(); err != nil {
		return err
	}
	if m.resolver.OwnKey {
		for _, o := range y.Others() {
			if string(o.Key) != string(r.Key) {
				return fmt.Errorf("%w: key %.100q, where the record's own was promised", policy.ErrYields, o.Key)
			}
		}
	}
	return nil
}

// yieldTo sorts what a record yields into the value of its own key and those of others, each once with the value that counts.
func (s *scratch) yieldTo(y *policy.Yields, key []byte) {
	s.others = s.others[:0]
	s.own, s.hasOwn = y.Value()
	at := s.placesOf(len(y.Others()))
	for _, o := range y.Others() {
		if string(o.Key) == string(key) {
			s.own, s.hasOwn = o.Value, true
			continue
		}
		if i := find(s.others, at, o.Key); i >= 0 {
			s.others[i].Value = o.Value
			continue
		}
		if at != nil {
			at[string(o.Key)] = len(s.others)
		}
		s.others = append(s.others, store.YieldTo(o))
	}
}

// fewYields are looked through one by one.
const fewYields = 16

// placesOf is an empty map for the places of n yields by their keys, nil where they are few.
func (s *scratch) placesOf(n int) map[string]int {
	if n <= fewYields {
		return nil
	}
	if s.places == nil {
		s.places = make(map[string]int, n)
	}
	clear(s.places)
	return s.places
}

// find is the place of a key among yields, -1 where it is not there. at are their places, nil where they are few.
func find(yields []store.YieldTo, at map[string]int, key []byte) int {
	if at != nil {
		if i, ok := at[string(key)]; ok {
			return i
		}
		return -1
	}
	for i := range yields {
		if string(yields[i].Key) == string(key) {
			return i
		}
	}
	return -1
}

// checkMutations holds each change that a record leads to against the mutation rule. old is what the store has of the record's key. reason is why one is refused.
func (s *scratch) checkMutations(m *meaning, rec *policy.Record, old []byte) (reason, err error) {
	oldOwn := old
	s.oldOthers = s.oldOthers[:0]
	if m.projects() && old != nil {
		if oldOwn, s.oldOthers, err = store.ParseYield(old, s.oldOthers); err != nil {
			return nil, err
		}
	}
	check := func(key, self, oldSelf []byte) error {
		return m.mutation.Check(&policy.Mutation{Key: key, Self: self, OldSelf: oldSelf, Exists: oldSelf != nil, Record: rec})
	}
	if s.hasOwn {
		if err := check(rec.Key, s.own, oldOwn); err != nil {
			return err, nil
		}
	}
	at := s.placesOf(len(s.oldOthers))
	for i := range s.oldOthers {
		if at != nil {
			at[string(s.oldOthers[i].Key)] = i
		}
	}
	for _, o := range s.others {
		var oldSelf []byte
		if i := find(s.oldOthers, at, o.Key); i >= 0 {
			oldSelf = s.oldOthers[i].Value
		}
		if err := check(o.Key, o.Value, oldSelf); err != nil {
			return fmt.Errorf("of key %.100q: %w", o.Key, err), nil
		}
	}
	return nil, nil
}

func (s *scratch) policyHeaders(headers []kafka.Header) []policy.Header {
	s.forPolicy = s.forPolicy[:0]
	for _, h := range headers {
		s.forPolicy = append(s.forPolicy, policy.Header(h))
	}
	return s.forPolicy
}
