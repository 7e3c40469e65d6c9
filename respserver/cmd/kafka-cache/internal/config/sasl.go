package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/yolean/kafka-cache/core/kafka"
)

var saslMechanisms = []string{kafka.MechanismPlain, kafka.MechanismScramSHA256, kafka.MechanismScramSHA512, kafka.MechanismOAuthBearer}

// saslOption is one that a mechanism may have.
type saslOption struct {
	name  string
	given bool
}

// checkSASL holds the options of SASL to each other: each mechanism has its own, and none is ignored.
func (c *Config) checkSASL() error {
	o := &c.KafkaOAuth
	passwords := []saslOption{{"kafka-sasl-user", c.KafkaSASLUser != ""}, {"kafka-sasl-password-file", c.KafkaSASLPasswordFile != ""}}
	file := saslOption{"kafka-sasl-token-file", c.KafkaSASLTokenFile != ""}
	address := saslOption{"kafka-sasl-oauth-token-url", o.TokenURL != ""}
	client := []saslOption{{"kafka-sasl-oauth-client-id", o.ClientID != ""}, {"kafka-sasl-oauth-client-secret-file", o.ClientSecretFile != ""}}
	more := []saslOption{{"kafka-sasl-oauth-scope", len(o.Scope) > 0}, {"kafka-sasl-oauth-ca", o.CA != ""}}
	tokens := slices.Concat([]saslOption{file, address, {"kafka-sasl-extensions", len(c.KafkaSASLExtensions) > 0}}, client, more)
	if c.KafkaSASLMechanism == "" {
		return c.noneOf(slices.Concat(passwords, tokens), "needs --kafka-sasl-mechanism as well")
	}
	mechanism := c.sources["kafka-sasl-mechanism"]
	if c.KafkaSASLMechanism != kafka.MechanismOAuthBearer {
		if err := c.allOf(passwords, mechanism); err != nil {
			return err
		}
		return c.noneOf(tokens, "is for --kafka-sasl-mechanism OAUTHBEARER, and it is "+c.KafkaSASLMechanism)
	}
	if err := c.noneOf(passwords, "is not for --kafka-sasl-mechanism OAUTHBEARER, which has tokens: --kafka-sasl-token-file or --kafka-sasl-oauth-token-url"); err != nil {
		return err
	}
	switch {
	case file.given && address.given:
		return fmt.Errorf("%s: there is --%s too: one of them is enough", c.sources[address.name], file.name)
	case address.given:
		if err := c.allOf(client, c.sources[address.name]); err != nil {
			return err
		}
		if o.CA != "" && !strings.HasPrefix(o.TokenURL, "https:") {
			return fmt.Errorf("%s: needs an https address as --%s", c.sources["kafka-sasl-oauth-ca"], address.name)
		}
		return nil
	case !file.given:
		return fmt.Errorf("%s: OAUTHBEARER needs --%s or --%s as well", mechanism, file.name, address.name)
	}
	return c.noneOf(slices.Concat(client, more), "needs --"+address.name+" as well")
}

// noneOf refuses those that are given.
func (c *Config) noneOf(those []saslOption, why string) error {
	for _, o := range those {
		if o.given {
			return fmt.Errorf("%s: %s", c.sources[o.name], why)
		}
	}
	return nil
}

// allOf says which of those that what is at source needs is not given.
func (c *Config) allOf(those []saslOption, source string) error {
	for _, o := range those {
		if !o.given {
			return fmt.Errorf("%s: needs --%s as well", source, o.name)
		}
	}
	return nil
}

// tokenURL is an address of a token endpoint; nothing is none.
type tokenURL struct{ p *string }

// parse does not quote what it refuses, which may have a password in it.
func (v tokenURL) parse(s string) error {
	if s == "" {
		*v.p = ""
		return nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return errors.New("the address is not one of http or https")
	case u.User != nil:
		return errors.New("the address has a user in it: the client's secret is in --kafka-sasl-oauth-client-secret-file")
	case u.Fragment != "":
		return errors.New("the address has a fragment")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return errors.New("the address is one of http, and the client's secret would be in the clear: https, or http to loopback")
	}
	*v.p = s
	return nil
}
func (v tokenURL) String() string { return *v.p }

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// optionalList is a list of which nothing is none.
type optionalList struct{ p *[]string }

func (v optionalList) parse(s string) error {
	if s == "" {
		return nil
	}
	return list(v).parse(s)
}
func (v optionalList) String() string  { return list(v).String() }
func (v optionalList) reset()          { *v.p = nil }
func (v optionalList) items() []string { return *v.p }

// extensions are names with values.
type extensions struct{ p *map[string]string }

func (v extensions) parse(s string) error {
	if s == "" {
		return nil
	}
	var pairs []string
	if err := (list{&pairs}).parse(s); err != nil {
		return err
	}
	for _, pair := range pairs {
		name, value, found := strings.Cut(pair, "=")
		if !found {
			return fmt.Errorf("%.64q is not a name and a value with = between them", pair)
		}
		if _, twice := (*v.p)[name]; twice {
			return fmt.Errorf("extension %.64q is given twice", name)
		}
		if err := (kafka.Token{Value: "t", Extensions: map[string]string{name: value}}).Validate(); err != nil {
			return err
		}
		if *v.p == nil {
			*v.p = map[string]string{}
		}
		(*v.p)[name] = value
	}
	return nil
}

func (v extensions) String() string { return strings.Join(v.items(), ",") }
func (v extensions) reset()         { *v.p = nil }

func (v extensions) items() []string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(*v.p)) {
		pairs = append(pairs, name+"="+(*v.p)[name])
	}
	return pairs
}
