package kafka

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestValidateNamesWhatIsWrong(t *testing.T) {
	good := Config{Bootstrap: []string{"kafka:9092", "[::1]:9092", "10.0.0.1:1"}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Bootstrap = nil }, "bootstrap: no address"},
		{func(c *Config) { c.Bootstrap = []string{"kafka:9092", "kafka:x"} }, `"kafka:x": port "x"`},
		{func(c *Config) { c.Bootstrap = []string{"kafka"} }, `"kafka": missing port`},
		{func(c *Config) { c.Bootstrap = []string{":9092"} }, `":9092": the host is empty`},
		{func(c *Config) { c.Bootstrap = []string{""} }, `"": missing port`},
		{func(c *Config) { c.Bootstrap = []string{"kafka:0"} }, `port "0"`},
		{func(c *Config) { c.Bootstrap = []string{"kafka:65536"} }, `port "65536"`},
		{func(c *Config) { c.Bootstrap = []string{"kafka:-1"} }, `port "-1"`},
		{func(c *Config) { c.Bootstrap = []string{"a:1:2"} }, `"a:1:2": too many colons`},
		{func(c *Config) { c.Bootstrap = []string{"a b:1"} }, `"a b:1"`},
		{func(c *Config) { c.Bootstrap = []string{"http://kafka:9092"} }, `"http://kafka:9092"`},
		{func(c *Config) { c.Bootstrap = []string{"a:1,b:2"} }, `"a:1,b:2"`},
		{func(c *Config) { c.ClientID = "a\nb" }, "client id"},
		{func(c *Config) { c.DialTimeout = -1 }, "dial timeout: -1ns"},
		{func(c *Config) { c.ReadTimeout = 100 * time.Millisecond }, "read timeout: 100ms is not longer than max wait, 500ms"},
		{func(c *Config) { c.RefreshInterval = time.Millisecond }, "refresh interval: 1ms"},
		{func(c *Config) { c.SASL = &SASL{Mechanism: "GSSAPI", User: "u", Password: "p"} }, `"GSSAPI"`},
		{func(c *Config) { c.SASL = &SASL{Mechanism: "PLAIN", Password: "p"} }, "SASL user"},
		{func(c *Config) { c.SASL = &SASL{Mechanism: "PLAIN", User: "u"} }, "SASL password"},
		{func(c *Config) {
			c.SASL = &SASL{Mechanism: "PLAIN", User: "u", Password: "p", PasswordSource: aPassword}
		}, "both a password and a source"},
		{func(c *Config) { c.SASL = &SASL{Mechanism: "PLAIN", User: "u", Password: "p", TokenSource: aToken} }, "and no token"},
		{func(c *Config) { c.SASL = &SASL{Mechanism: "OAUTHBEARER"} }, "no token source"},
		{func(c *Config) { c.SASL = &SASL{Mechanism: "OAUTHBEARER", User: "u", TokenSource: aToken} }, "neither a user nor a password"},
		{func(c *Config) {
			c.TLS, c.TLSSource = &tls.Config{}, func() (*tls.Config, error) { return &tls.Config{}, nil }
		}, "TLS: both"},
	} {
		c := good
		tc.change(&c)
		err := c.Validate()
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want %s", err, tc.want)
		}
		if _, err := NewClient(c); !errors.Is(err, ErrConfig) {
			t.Errorf("NewClient: %v", err)
		}
		if _, err := NewProducer(ProducerConfig{Kafka: c}); !errors.Is(err, ErrConfig) {
			t.Errorf("NewProducer: %v", err)
		}
	}
}

func aPassword(context.Context) (string, error) { return "p", nil }

func aToken(context.Context) (Token, error) { return Token{Value: "t"}, nil }

func TestTokensThatWouldBeReadOtherwise(t *testing.T) {
	for _, good := range []Token{{Value: "eyJh.eyJz.c2ln"}, {Value: "YQ=="}, {Value: "t", Extensions: map[string]string{"logicalCluster": "lkc-1"}}} {
		if err := good.Validate(); err != nil {
			t.Errorf("%#v: %v", good, err)
		}
	}
	for _, bad := range []Token{
		{}, {Value: "hunter2 x"}, {Value: "hunter2\x01auth=Bearer y"}, {Value: "hunter2\n"}, {Value: "t", Extensions: map[string]string{"auth": "hunter2"}},
		{Value: "t", Extensions: map[string]string{"a1": "hunter2"}}, {Value: "t", Extensions: map[string]string{"a": "hunter2\x01"}}, {Value: "t", Extensions: map[string]string{"a": ""}},
	} {
		if err := bad.Validate(); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%#v: %v", bad, err)
		}
	}
}

func TestPasswordIsNeverPrinted(t *testing.T) {
	s := SASL{Mechanism: MechanismPlain, User: "me", Password: "hunter2"}
	c := Config{Bootstrap: []string{"a:1"}, SASL: &s}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "sasl", s, "pointer", &s, "config", c)
	j, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	token := Token{Value: "hunter2", Extensions: map[string]string{"me": "x"}}
	jt, err := json.Marshal(token)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{
		fmt.Sprintf("%v %+v %#v %v %s", token, token, token, &token, token.LogValue()), string(jt), fmt.Sprint(SASL{Mechanism: MechanismOAuthBearer, TokenSource: aToken}),
		fmt.Sprint(s), fmt.Sprint(&s), fmt.Sprintf("%+v %#v %v", s, s, c), fmt.Sprintf("%+v %#v", &s, c), log.String(), string(j), fmt.Sprintf("%q %s", s, s),
	} {
		if strings.Contains(printed, "hunter2") {
			t.Errorf("printed %s", printed)
		}
	}
	if !strings.Contains(fmt.Sprint(s), "me") {
		t.Errorf("printed %s", s)
	}
}

func TestFetcherConfigIsChecked(t *testing.T) {
	good := FetcherConfig{Kafka: Config{Bootstrap: []string{"a:1"}}, Topic: "t", ID: [16]byte{1}, Start: func(int32) int64 { return 0 }}
	if _, err := NewFetcher(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*FetcherConfig){
		"topic":               func(c *FetcherConfig) { c.Topic = "" },
		"id":                  func(c *FetcherConfig) { c.ID = [16]byte{} },
		"Start":               func(c *FetcherConfig) { c.Start = nil },
		"max bytes":           func(c *FetcherConfig) { c.MaxBytes = -1 },
		"max partition bytes": func(c *FetcherConfig) { c.MaxPartitionBytes = 1 << 30 },
		"bootstrap":           func(c *FetcherConfig) { c.Kafka.Bootstrap = nil },
	} {
		c := good
		change(&c)
		if _, err := NewFetcher(c); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
