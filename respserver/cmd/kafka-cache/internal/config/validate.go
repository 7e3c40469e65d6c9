package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/codec/registry"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/sample"
)

// Kafka's own rule for topic names.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// resolveTopics settles which topics there are, and the settings of each.
func (c *Config) resolveTopics(f *file) error {
	if f == nil {
		f = &file{}
	}
	names, source := c.topicNames, c.sources["topic"]
	byName := map[string]fileTopic{}
	for _, t := range f.topics {
		if _, twice := byName[t.name]; twice {
			return fmt.Errorf("%s: topic %.64q is given twice", t.source, t.name)
		}
		byName[t.name] = t
	}
	if f.topicsLine != "" {
		for _, a := range f.assignments {
			if a.option.name == "topic" {
				return fmt.Errorf("%s: the file has topics as well: one of them is enough", a.source)
			}
		}
	}
	if c.Dev {
		names = sample.Topics()
		for _, t := range f.topics {
			if !slices.Contains(names, t.name) {
				return fmt.Errorf("%s: --dev has the sample model's topics and takes no others, though it takes settings for those: %s", t.source, strings.Join(names, ", "))
			}
		}
		if source != "" {
			return fmt.Errorf("%s: --dev has the sample model's topics and takes no others", source)
		}
		if source = f.topicsLine; source == "" {
			source = "--dev"
		}
	}
	if len(names) == 0 {
		for _, t := range f.topics {
			names = append(names, t.name)
		}
		source = f.topicsLine
	}
	if len(names) == 0 {
		return errNoTopic
	}
	if source == f.topicsLine {
		c.sources["topic"] = source
	}
	seen := map[string]bool{}
	var err error
	for _, name := range names {
		t := Topic{Name: name, ReadOnly: c.ReadOnly, KeyEncoding: c.KeyEncoding, ValueEncoding: c.ValueEncoding, Start: c.Start,
			DeleteRetention: c.DeleteRetention}
		ft, fromFile := byName[name]
		at := source
		if fromFile {
			at = ft.source
			set(&t.ReadOnly, ft.readOnly)
			set(&t.KeyEncoding, ft.keyEncoding)
			set(&t.ValueEncoding, ft.valEncoding)
			set(&t.Start, ft.start)
			set(&t.DeleteRetention, ft.retention)
		}
		t.RepairSplitKeys = c.RepairSplitKeys && !t.ReadOnly
		set(&t.RepairSplitKeys, ft.repair)
		if !topicName.MatchString(name) || name == "." || name == ".." {
			return fmt.Errorf("%s: %.64q is not a legal topic name (1 to 249 of a-z, A-Z, 0-9, '.', '_', '-')", at, name)
		}
		if seen[name] {
			return fmt.Errorf("%s: topic %.64q is given twice", at, name)
		}
		seen[name] = true
		if t.RepairSplitKeys && t.ReadOnly {
			return fmt.Errorf("%s: topic %q is read-only, and split keys are repaired by writing: it needs read-only: false", ft.repairAt, name)
		}
		if slices.Contains(registry.Names(), t.ValueEncoding) && len(c.SchemaRegistry) == 0 {
			return fmt.Errorf("%s: the value encoding %s of topic %q needs --schema-registry", cmp.Or(ft.valuesAt, c.sources["value-encoding"]), t.ValueEncoding, name)
		}
		startAt := cmp.Or(ft.startAt, c.sources["start"], "--start")
		if err := checkStart(t); err != nil {
			return fmt.Errorf("%s: %s", startAt, strings.TrimPrefix(err.Error(), cache.ErrConfig.Error()+": "))
		}
		policies := ft.policies.over(f.policies)
		if t.Policies, err = policies.compile(f.dir, name, t.ValueEncoding); err != nil {
			return err
		}
		c.Topics = append(c.Topics, t)
	}
	return nil
}

// checkStart asks the library, which alone knows what a start may look like; the error names the topic, the value, and what is allowed.
func checkStart(t Topic) error {
	c := cache.Config{Kafka: kafka.Config{Bootstrap: []string{"kafka:9092"}}, Topics: []cache.TopicConfig{{Name: t.Name, Start: t.Start}}}
	return c.Validate()
}

func set[T any](dst, src *T) {
	if src != nil {
		*dst = *src
	}
}

// validate checks what no option can say alone.
func (c *Config) validate() error {
	if c.Dev {
		for i := range options {
			name := options[i].name
			source, given := c.sources[name]
			if !strings.HasPrefix(name, "kafka-") || !given {
				continue
			}
			if v := options[i].value(c).String(); v != "" && v != "false" {
				return fmt.Errorf("%s: --dev brings its own broker: leave one of them out", source)
			}
		}
		c.KafkaBootstrap = nil
	}
	if c.RepairSplitKeys && !slices.ContainsFunc(c.Topics, func(t Topic) bool { return !t.ReadOnly }) {
		return fmt.Errorf("%s: every topic is read-only, and split keys are repaired by writing: it needs --read-only=false", c.sources["repair-split-keys"])
	}
	if len(c.SchemaRegistry) > 0 && !slices.ContainsFunc(c.Topics, func(t Topic) bool { return slices.Contains(registry.Names(), t.ValueEncoding) }) {
		return fmt.Errorf("%s: no topic has a value encoding that needs it: %s", c.sources["schema-registry"], strings.Join(registry.Names(), ", "))
	}
	if c.SchemaRegistryCA != "" && !slices.ContainsFunc(c.SchemaRegistry, func(s string) bool { return strings.HasPrefix(s, "https:") }) {
		return fmt.Errorf("%s: needs an https address as --schema-registry", c.sources["schema-registry-ca"])
	}
	needs := []struct {
		given    string // option that was set …
		is       bool
		other    string // … and what it needs
		otherSet bool
	}{
		{"kafka-tls-ca", c.KafkaTLSCA != "", "kafka-tls", c.KafkaTLS},
		{"kafka-tls-cert", c.KafkaTLSCert != "", "kafka-tls", c.KafkaTLS},
		{"kafka-tls-cert", c.KafkaTLSCert != "", "kafka-tls-key", c.KafkaTLSKey != ""},
		{"kafka-tls-key", c.KafkaTLSKey != "", "kafka-tls-cert", c.KafkaTLSCert != ""},
		{"schema-registry-user", c.SchemaRegistryUser != "", "schema-registry", len(c.SchemaRegistry) > 0},
		{"schema-registry-user", c.SchemaRegistryUser != "", "schema-registry-password-file", c.SchemaRegistryPasswordFile != ""},
		{"schema-registry-password-file", c.SchemaRegistryPasswordFile != "", "schema-registry-user", c.SchemaRegistryUser != ""},
		{"resp-tls-cert", c.RESPTLSCert != "", "resp-tls-key", c.RESPTLSKey != ""},
		{"resp-tls-key", c.RESPTLSKey != "", "resp-tls-cert", c.RESPTLSCert != ""},
		{"resp-tls-auth-clients-user", c.RESPTLSAuthClientsUser != "off", "resp-tls-client-ca", c.RESPTLSClientCA != ""},
		{"admin-tls-cert", c.AdminTLSCert != "", "admin-tls-key", c.AdminTLSKey != ""},
		{"admin-tls-key", c.AdminTLSKey != "", "admin-tls-cert", c.AdminTLSCert != ""},
		{"admin-tls-client-ca", c.AdminTLSClientCA != "", "admin-tls-cert", c.AdminTLSCert != ""},
		{"peer-password-file", c.PeerPasswordFile != "", "peers", len(c.Peers) > 0},
		{"peer-tls", c.PeerTLS, "peers", len(c.Peers) > 0},
		{"peer-tls-ca", c.PeerTLSCA != "", "peer-tls", c.PeerTLS},
		{"peer-tls-cert", c.PeerTLSCert != "", "peer-tls", c.PeerTLS},
		{"peer-tls-cert", c.PeerTLSCert != "", "peer-tls-key", c.PeerTLSKey != ""},
		{"peer-tls-key", c.PeerTLSKey != "", "peer-tls-cert", c.PeerTLSCert != ""},
		{"peer-tls-server-name", c.PeerTLSServerName != "", "peer-tls", c.PeerTLS},
		{"resp-tls-client-ca", c.RESPTLSClientCA != "", "resp-tls-cert", c.RESPTLSCert != ""},
		{"serve-unverified", c.ServeUnverified, "data-dir", c.DataDir != ""},
	}
	for _, n := range needs {
		if n.is && !n.otherSet {
			return fmt.Errorf("%s: needs --%s as well", c.sources[n.given], n.other)
		}
	}
	if err := c.checkSASL(); err != nil {
		return err
	}
	return c.checkUsers()
}
