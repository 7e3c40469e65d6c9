package security

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/yolean/kafka-cache/tests/internal/authority"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// Passwords of the broker's users. None may be seen in what the daemon prints.
const (
	plainPassword = "plain-hunter2"
	scramPassword = "scram-hunter2"
	nextPassword  = "next-hunter2"
)

// sessionLife is how long a connection with SASL goes on without authenticating again.
const sessionLife = 1500 * time.Millisecond

// guarded is the broker of all tests of this package, started for the first that asks. Whoever connects to PLAINTEXT may do everything: that is for
// the tests' own use. Behind MTLS a certificate's common name says who somebody is, and a proxy cuts connections; SASL is PLAIN, SCRAM-SHA-512 and
// OAUTHBEARER, with tokens that are not signed. User "app" may do with topics that begin with "app" what the documentation lists.
var guarded struct {
	once sync.Once
	err  error
	kafka
}

type kafka struct {
	*kafkatest.Cluster
	dir        string
	authority  *authority.Authority
	mtls, sasl string // addresses
	proxy      *proxy
}

func start(t *testing.T) *kafka {
	t.Helper()
	guarded.once.Do(func() { guarded.err = guarded.open() })
	if guarded.err != nil {
		t.Fatal(guarded.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the broker printed last:\n%s", guarded.Brokers[0].Log())
		}
	})
	return &guarded.kafka
}

// file is a path in the directory of what the broker has.
func (k *kafka) file(name string) string { return filepath.Join(k.dir, name) }

func (k *kafka) open() (err error) {
	if k.dir, err = os.MkdirTemp("", "security-"); err != nil {
		return err
	}
	if k.authority, err = authority.New(); err != nil {
		return err
	}
	if err := errors.Join(k.authority.WriteCA(k.file("ca.pem")), issueStore(k.authority, k.file("server.pem"))); err != nil {
		return err
	}
	addrs, err := kafkatest.FreeAddrs(2)
	if err != nil {
		return err
	}
	k.sasl = addrs[1]
	if k.proxy, err = newProxy(addrs[0]); err != nil {
		return err
	}
	k.mtls = k.proxy.addr()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	k.Cluster, err = kafkatest.Open(ctx, kafkatest.Options{Adjust: func(_ int, s map[string]string) {
		s["listeners"] += ",MTLS://" + addrs[0] + ",SASL://" + k.sasl
		s["advertised.listeners"] += ",MTLS://" + k.mtls + ",SASL://" + k.sasl
		s["listener.security.protocol.map"] += ",MTLS:SSL,SASL:SASL_SSL"
		for name, value := range map[string]string{
			"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
			"super.users":           "User:ANONYMOUS",

			"ssl.keystore.type":                         "PEM",
			"ssl.keystore.location":                     k.file("server.pem"),
			"ssl.truststore.type":                       "PEM",
			"ssl.truststore.location":                   k.file("ca.pem"),
			"ssl.principal.mapping.rules":               "RULE:^CN=([^,]*).*$/$1/",
			"listener.name.mtls.ssl.client.auth":        "required",
			"sasl.enabled.mechanisms":                   "PLAIN,SCRAM-SHA-512,OAUTHBEARER",
			"connections.max.reauth.ms":                 fmt.Sprint(sessionLife.Milliseconds()),
			"connection.failed.authentication.delay.ms": "0",

			"listener.name.sasl.plain.sasl.jaas.config":         `org.apache.kafka.common.security.plain.PlainLoginModule required user_app="` + plainPassword + `";`,
			"listener.name.sasl.scram-sha-512.sasl.jaas.config": `org.apache.kafka.common.security.scram.ScramLoginModule required;`,
			"listener.name.sasl.oauthbearer.sasl.jaas.config":   `org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
		} {
			s[name] = value
		}
	}})
	return err
}

func (k *kafka) close() {
	if k.Cluster != nil {
		k.Cluster.Close()
	}
	if k.proxy != nil {
		k.proxy.close()
	}
	if k.dir != "" {
		os.RemoveAll(k.dir)
	}
}

// issueStore makes a server's certificate and key in one file, as Kafka wants them.
func issueStore(a *authority.Authority, file string) error {
	if err := a.Issue(file+".crt", file+".key"); err != nil {
		return err
	}
	key, err1 := os.ReadFile(file + ".key")
	cert, err2 := os.ReadFile(file + ".crt")
	return errors.Join(err1, err2, os.WriteFile(file, append(key, cert...), 0o600))
}

// setScram gives a user a password for SCRAM-SHA-512.
func (k *kafka) setScram(t *testing.T, user, password string) {
	t.Helper()
	r, err := k.Admin(t).AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: password}})
	if err == nil {
		err = r.Error()
	}
	if err != nil {
		t.Fatalf("set the password of %s: %v", user, err)
	}
}

// setMTLS has the listener MTLS use other certificates.
func (k *kafka) setMTLS(t *testing.T, store, ca string) {
	t.Helper()
	r, err := k.Admin(t).AlterBrokerConfigs(t.Context(), []kadm.AlterConfig{
		{Op: kadm.SetConfig, Name: "listener.name.mtls.ssl.keystore.location", Value: &store}, {Op: kadm.SetConfig, Name: "listener.name.mtls.ssl.keystore.type", Value: kadm.StringPtr("PEM")},
		{Op: kadm.SetConfig, Name: "listener.name.mtls.ssl.truststore.location", Value: &ca}, {Op: kadm.SetConfig, Name: "listener.name.mtls.ssl.truststore.type", Value: kadm.StringPtr("PEM")},
	}, int32(k.Brokers[0].ID))
	if err == nil {
		_, err = r.On("1", nil)
	}
	if err != nil {
		t.Fatalf("change the certificates of the broker: %v", err)
	}
}

// acl is one line of access control.
type acl struct {
	kind string // topic, group, transaction
	name string
	op   kadm.ACLOperation
}

func (a acl) String() string { return fmt.Sprintf("%s on %s %s", a.op, a.kind, a.name) }

func (a acl) builder(user string) *kadm.ACLBuilder {
	b := kadm.NewACLs().Allow("User:" + user).AllowHosts("*").Operations(a.op)
	switch a.kind {
	case "topic":
		return b.Topics(a.name).ResourcePatternType(kadm.ACLPatternLiteral)
	case "group":
		return b.Groups(a.name).ResourcePatternType(kadm.ACLPatternLiteral)
	case "transaction":
		return b.TransactionalIDs(a.name).ResourcePatternType(kadm.ACLPatternPrefixed)
	}
	panic(a.kind)
}

func (k *kafka) allow(t *testing.T, user string, all ...acl) {
	t.Helper()
	for _, a := range all {
		r, err := k.Admin(t).CreateACLs(t.Context(), a.builder(user))
		for i := range r {
			err = errors.Join(err, r[i].Err)
		}
		if err != nil {
			t.Fatalf("allow %s %v: %v", user, a, err)
		}
	}
}

func (k *kafka) forbid(t *testing.T, user string, a acl) {
	t.Helper()
	r, err := k.Admin(t).DeleteACLs(t.Context(), a.builder(user))
	deleted := 0
	for i := range r {
		err = errors.Join(err, r[i].Err)
		deleted += len(r[i].Deleted)
	}
	if err != nil || deleted != 1 {
		t.Fatalf("take %v from %s: %d deleted, %v", a, user, deleted, err)
	}
}

// needed is what the documentation says that an instance needs.
func needed(topic, letters, identity string) map[string]acl {
	return map[string]acl{
		"read":             {"topic", topic, kadm.OpRead},
		"settings":         {"topic", topic, kadm.OpDescribeConfigs},
		"write":            {"topic", topic, kadm.OpWrite},
		"dead letters":     {"topic", letters, kadm.OpWrite},
		"commit":           {"group", identity, kadm.OpRead},
		"delete the group": {"group", identity, kadm.OpDelete},
		"transactions":     {"transaction", identity + "-multi-", kadm.OpWrite},
	}
}

// token is one that is not signed, of a user and for a time.
func token(user string, life time.Duration) string {
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	now := time.Now()
	return strings.Join([]string{part(map[string]string{"alg": "none"}), part(map[string]any{"sub": user, "iat": now.Add(-time.Hour).Unix(), "exp": now.Add(life).Unix()}), ""}, ".")
}
