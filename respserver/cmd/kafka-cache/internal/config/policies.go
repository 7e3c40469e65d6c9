package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/policy"
	"github.com/yolean/kafka-cache/core/policy/cel"
	"github.com/yolean/kafka-cache/core/policy/jq"
	"github.com/yolean/kafka-cache/core/policy/jsonschema"
)

// Policies are what a topic's records mean beyond their encoding, as configured and as compiled.
type Policies struct {
	Resolver        Source // a jq program
	ResolverYields  string // YieldsChanges or YieldsValue; "" without a resolver
	Write           Source // JSON Schemas
	Read            Source
	Mutation        Source // a CEL expression
	OnInvalidRead   policy.Outcome
	OnInvalidChange policy.Outcome
	DeadLetterTopic string

	resolver *policy.Resolver
	write    *policy.ValueRule
	read     *policy.ValueRule
	mutation *policy.MutationRule
}

// What a resolver may yield.
const (
	YieldsChanges = "changes"
	YieldsValue   = "value"
)

// Source is a text that is configured in place or by the file that it is in.
type Source struct {
	Given string // as it stands in the configuration; "" where there is none
	At    string // where: "path:line: key"
	Path  string // of the file that it names; "" where it is the text itself
}

// Apply sets what a topic's records mean.
func (p *Policies) Apply(t *cache.TopicConfig) {
	t.Resolver, t.ValidateWrite, t.DeadLetterTopic = p.resolver, p.write, p.DeadLetterTopic
	t.ValidateRead = cache.ReadPolicy{Rule: p.read, OnInvalid: p.OnInvalidRead}
	t.ValidateMutation = cache.MutationPolicy{Rule: p.mutation, OnInvalid: p.OnInvalidChange}
}

// filePolicies are those of one place of the file; nil and empty: not said.
type filePolicies struct {
	resolver, write, read, mutation  Source
	yields, onRead, onMutation       string
	yieldsAt, onReadAt, onMutationAt string
	deadLetter, deadLetterAt         string
}

// over is p where it says something, and otherwise q.
func (p filePolicies) over(q filePolicies) filePolicies {
	if p.resolver.Given != "" || p.yields != "" {
		q.resolver, q.yields, q.yieldsAt = p.resolver, p.yields, p.yieldsAt
	}
	if p.write.Given != "" {
		q.write = p.write
	}
	if p.read.Given != "" || p.onRead != "" {
		q.read, q.onRead, q.onReadAt = p.read, p.onRead, p.onReadAt
	}
	if p.mutation.Given != "" || p.onMutation != "" {
		q.mutation, q.onMutation, q.onMutationAt = p.mutation, p.onMutation, p.onMutationAt
	}
	if p.deadLetter != "" {
		q.deadLetter, q.deadLetterAt = p.deadLetter, p.deadLetterAt
	}
	return q
}

const validateKeys = `want write: {schema: …}, read: {schema: …, on-invalid: delete, keep, skip or stop}, mutation: {rule: …, on-invalid: …}`

// parseValidate takes the mapping of validate.
func (p *filePolicies) parseValidate(path string, n *yaml.Node) error {
	return eachKey(path, n, func(key, source string, v *yaml.Node) error {
		text, outcome := "schema", true
		var to *Source
		var on, onAt *string
		switch key {
		case "write":
			to, outcome = &p.write, false
		case "read":
			to, on, onAt = &p.read, &p.onRead, &p.onReadAt
		case "mutation":
			to, on, onAt, text = &p.mutation, &p.onMutation, &p.onMutationAt, "rule"
		default:
			return fmt.Errorf("%s: unknown key of validate: %s", source, validateKeys)
		}
		err := eachKey(path, v, func(inner, innerSource string, v *yaml.Node) error {
			s, err := scalar(v)
			switch {
			case err != nil:
			case s == "":
				err = errors.New("is empty")
			case inner == text:
				*to = Source{Given: s, At: innerSource}
			case inner == "on-invalid" && outcome:
				*on, *onAt = s, innerSource
				_, err = policy.ParseOutcome(s)
			default:
				return fmt.Errorf("%s: unknown key of validate.%s: %s", innerSource, key, validateKeys)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", innerSource, err)
			}
			return nil
		})
		if err == nil && to.Given == "" && (on == nil || *on == "" || key == "mutation") {
			err = fmt.Errorf("%s: has no %s", source, text)
		}
		return err
	})
}

// compile makes the policies of a topic whose values have the encoding. dir is where relative paths begin.
func (p filePolicies) compile(dir, topic, valueEncoding string) (Policies, error) {
	c := Policies{Resolver: p.resolver, Write: p.write, Read: p.read, Mutation: p.mutation, DeadLetterTopic: p.deadLetter}
	var err error
	if c.OnInvalidRead, err = policy.ParseOutcome(p.onRead); err != nil {
		return c, fmt.Errorf("%s: %w", p.onReadAt, err)
	}
	if c.OnInvalidChange, err = policy.ParseOutcome(p.onMutation); err != nil {
		return c, fmt.Errorf("%s: %w", p.onMutationAt, err)
	}
	if p.deadLetter != "" && (!topicName.MatchString(p.deadLetter) || p.deadLetter == topic) {
		return c, fmt.Errorf("%s: %.64q is not the name of another topic", p.deadLetterAt, p.deadLetter)
	}
	if c.write, err = compileSchema(&c.Write, dir); err != nil {
		return c, err
	}
	if c.read, err = compileSchema(&c.Read, dir); err != nil {
		return c, err
	}
	if c.Mutation.Given != "" {
		if c.mutation, err = cel.Compile(c.Mutation.Given); err != nil {
			return c, fmt.Errorf("%s: %w", c.Mutation.At, oneLineError(err))
		}
	}
	if c.Resolver.Given == "" {
		if p.yields != "" {
			return c, fmt.Errorf("%s: there is no resolver that yields anything", p.yieldsAt)
		}
		return c, nil
	}
	switch c.ResolverYields = p.yields; c.ResolverYields {
	case "":
		c.ResolverYields = YieldsChanges
	case YieldsChanges, YieldsValue:
	default:
		return c, fmt.Errorf("%s: %.64q is none of %s, %s", p.yieldsAt, p.yields, YieldsChanges, YieldsValue)
	}
	program, name, err := c.Resolver.read(dir, func(s string) bool { return strings.HasSuffix(s, ".jq") && !strings.ContainsAny(s, "\n|") })
	if err != nil {
		return c, err
	}
	if c.resolver, err = jq.Compile(string(program), jq.Options{OwnKey: c.ResolverYields == YieldsValue, JSON: jsonValues(valueEncoding)}); err != nil {
		return c, fmt.Errorf("%s: %s%w", c.Resolver.At, prefix(name), oneLineError(err))
	}
	return c, nil
}

func compileSchema(s *Source, dir string) (*policy.ValueRule, error) {
	if s.Given == "" {
		return nil, nil
	}
	text, name, err := s.read(dir, func(s string) bool { return !strings.HasPrefix(strings.TrimSpace(s), "{") })
	if err != nil {
		return nil, err
	}
	rule, err := jsonschema.Compile(name, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.At, oneLineError(err))
	}
	return rule, nil
}

// read is the text, and the path of the file that it is read from where named says that what is given is a path.
func (s *Source) read(dir string, named func(string) bool) (text []byte, path string, err error) {
	if !named(s.Given) {
		return []byte(s.Given), "", nil
	}
	if path = s.Given; !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	s.Path = path
	f, err := os.Open(path)
	if err != nil {
		return nil, path, fmt.Errorf("%s: %w", s.At, err)
	}
	defer f.Close()
	text, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	if err != nil {
		return nil, path, fmt.Errorf("%s: %w", s.At, err)
	}
	return text, path, nil
}

func prefix(name string) string {
	if name == "" {
		return ""
	}
	return name + ": "
}

func oneLineError(err error) error { return errors.New(oneLine(err)) }

// write writes the policies as the file has them, under a topic.
func (p *Policies) render(b *strings.Builder) {
	if p.Resolver.Given != "" {
		fmt.Fprintf(b, "    resolver: %s # %s\n    resolver-yields: %s\n", p.Resolver.text(), p.Resolver.At, p.ResolverYields)
	}
	if p.Write.Given != "" || p.Read.Given != "" || p.OnInvalidRead != policy.Default || p.Mutation.Given != "" {
		b.WriteString("    validate:\n")
	}
	if p.Write.Given != "" {
		fmt.Fprintf(b, "      write:\n        schema: %s # %s\n", p.Write.text(), p.Write.At)
	}
	if p.Read.Given != "" || p.OnInvalidRead != policy.Default {
		b.WriteString("      read:\n")
		if p.Read.Given != "" {
			fmt.Fprintf(b, "        schema: %s # %s\n", p.Read.text(), p.Read.At)
		}
		fmt.Fprintf(b, "        on-invalid: %s\n", p.OnInvalidRead.Or(policy.Delete))
	}
	if p.Mutation.Given != "" {
		fmt.Fprintf(b, "      mutation:\n        rule: %s # %s\n        on-invalid: %s\n", p.Mutation.text(), p.Mutation.At, p.OnInvalidChange.Or(policy.Skip))
	}
	if p.DeadLetterTopic != "" {
		fmt.Fprintf(b, "    dead-letter-topic: %s\n", quote(p.DeadLetterTopic))
	}
}

// text is what yields the same from a file anywhere.
func (s *Source) text() string {
	if s.Path != "" {
		if path, err := filepath.Abs(s.Path); err == nil {
			return quote(path)
		}
		return quote(s.Path)
	}
	return quote(s.Given)
}
