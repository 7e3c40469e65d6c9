package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var pod = []string{"POD_NAMESPACE=prod", "POD_NAME=cache-0"}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kcache.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustLoad(t *testing.T, args, environ []string) *Config {
	t.Helper()
	c, _, err := Load(args, append(environ, pod...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Every option: the default, then the file over it, the variable over that, and the flag over all.
func TestPrecedence(t *testing.T) {
	// Two values of each kind that differ from the default and from each other; a boolean has but one, and then the default.
	values := map[string][3]string{
		"kafka-bootstrap": {"f:1", "e:1", "g:1"}, "identity": {"f", "e", "g"}, "startup-timeout": {"1s", "2s", "3s"}, "metadata-refresh": {"1s", "2s", "3s"},
		"kafka-tls-ca": {"f", "e", "g"}, "kafka-tls-cert": {"f", "e", "g"}, "kafka-tls-key": {"f", "e", "g"},
		"kafka-sasl-mechanism": {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}, "kafka-sasl-user": {"f", "e", "g"},
		"kafka-sasl-token-file": {"f", "e", "g"}, "kafka-sasl-oauth-token-url": {"https://f", "http://localhost:1", "https://g"},
		"kafka-sasl-oauth-client-id": {"f", "e", "g"}, "kafka-sasl-oauth-client-secret-file": {"f", "e", "g"}, "kafka-sasl-oauth-scope": {"f", "e", "g"},
		"kafka-sasl-oauth-ca": {"f", "e", "g"}, "kafka-sasl-extensions": {"a=f", "a=e", "a=g"},
		"kafka-sasl-password-file": {"f", "e", "g"}, "topic": {"f", "e", "g"}, "key-encoding": {"json", "binary", "json"},
		"value-encoding": {"utf-8", "binary", "utf-8"}, "start": {"-24h", "offset:1", "timestamp:2026-01-02T15:04:05Z"},
		"delete-retention": {"1s", "2s", "3s"}, "write-reply": {"acknowledged", "applied", "acknowledged"},
		"apply-timeout": {"2s", "3s", "4s"}, "resp-addr": {":1", ":2", ":3"}, "resp-password-file": {"f", "e", "g"},
		"resp-tls-cert": {"f", "e", "g"}, "resp-tls-key": {"f", "e", "g"}, "resp-tls-client-ca": {"f", "e", "g"},
		"resp-maxclients": {"1", "2", "3"}, "resp-max-unauthenticated": {"1", "2", "3"}, "resp-rate-limit": {"1", "2", "3"}, "resp-idle-timeout": {"1s", "2s", "3s"}, "admin-addr": {":1", ":2", ":3"},
		"admin-token-file": {"f", "e", "g"}, "admin-tls-cert": {"f", "e", "g"}, "admin-tls-key": {"f", "e", "g"}, "admin-tls-client-ca": {"f", "e", "g"},
		"ready-max-staleness": {"1s", "2s", "3s"}, "data-dir": {"f", "e", "g"}, "memory-limit": {"1Gi", "2Gi", "3Gi"}, "disk-limit": {"4Gi", "5Gi", "6Gi"},
		"log-level": {"debug", "warn", "error"}, "log-format": {"json", "text", "json"}, "shutdown-grace": {"1s", "2s", "4s"},
		"shutdown-timeout": {"1s", "2s", "3s"}, "schema-registry": {"https://f", "https://e", "https://g"}, "schema-registry-user": {"f", "e", "g"},
		"schema-registry-password-file": {"f", "e", "g"}, "schema-registry-ca": {"f", "e", "g"},
		"resp-tls-min-version": {"1.2", "1.3", "1.2"}, "resp-tls-auth-clients-user": {"CN", "off", "CN"}, "resp-reload-interval": {"1s", "2s", "3s"},
		"resp-driver": {"epoll", "goroutines", "epoll"}, "resp-auth-timeout": {"1s", "2s", "3s"}, "resp-write-timeout": {"1s", "2s", "3s"}, "resp-output-limit": {"1Mi", "2Mi", "3Mi"},
		"resp-query-limit": {"1Mi", "2Mi", "3Mi"}, "resp-buffer-limit": {"1Mi", "2Mi", "3Mi"},
		"peers": {"f:1", "dns:e:1", "g:1"}, "peer-user": {"f", "e", "g"}, "peer-password-file": {"f", "e", "g"}, "peer-tls-ca": {"f", "e", "g"},
		"peer-tls-cert": {"f", "e", "g"}, "peer-tls-key": {"f", "e", "g"}, "peer-tls-server-name": {"f", "e", "g"},
	}
	for i := range options {
		o := &options[i]
		if o.noFile || o.name == "dev" {
			continue
		}
		v, ok := values[o.name]
		if o.arg == "" {
			other := "true"
			if o.def == "true" {
				other = "false"
			}
			v, ok = [3]string{other, o.def, other}, true
		}
		if !ok {
			t.Errorf("%s has no values in this test", o.name)
			continue
		}
		base := []string{"--topic", "t", "--read-only=false", "--kafka-tls", "--kafka-tls-cert=c", "--kafka-tls-key=k", "--kafka-sasl-mechanism=PLAIN",
			"--kafka-sasl-user=u", "--kafka-sasl-password-file=p", "--resp-tls-cert=c", "--resp-tls-key=k", "--admin-tls-cert=c", "--admin-tls-key=k"}
		switch {
		case strings.HasPrefix(o.name, "kafka-sasl-oauth-"):
			base = []string{"--topic", "t", "--kafka-sasl-mechanism=OAUTHBEARER", "--kafka-sasl-oauth-token-url=https://u", "--kafka-sasl-oauth-client-id=i", "--kafka-sasl-oauth-client-secret-file=s"}
		case o.name == "kafka-sasl-token-file":
			base = []string{"--topic", "t", "--kafka-sasl-mechanism=OAUTHBEARER"}
		case o.name == "kafka-sasl-extensions":
			base = []string{"--topic", "t", "--kafka-sasl-mechanism=OAUTHBEARER", "--kafka-sasl-token-file=f"}
		}
		if strings.HasPrefix(o.name, "schema-registry") {
			base = append(base, "--value-encoding=avro", "--schema-registry=https://r", "--schema-registry-user=u", "--schema-registry-password-file=p")
		}
		if o.name == "serve-unverified" {
			base = append(base, "--data-dir=d")
		}
		if o.name == "resp-tls-auth-clients-user" {
			base = append(base, "--resp-tls-client-ca=c")
		}
		if strings.HasPrefix(o.name, "peer-") {
			base = append(base, "--peers=p:1", "--peer-tls-cert=c", "--peer-tls-key=k")
			if o.name != "peer-tls" {
				base = append(base, "--peer-tls")
			} else {
				base = base[:len(base)-2]
			}
		}
		var without []string // of this option, so that the file and the environment can be seen
		for j := 0; j < len(base); j++ {
			name, _, _ := strings.Cut(strings.TrimPrefix(base[j], "--"), "=")
			if name == o.name || strings.HasPrefix(name, "kafka-tls") && o.name == "kafka-tls" {
				if name == "topic" {
					j++
				}
				continue
			}
			without = append(without, base[j])
		}
		path := writeFile(t, o.name+": "+quote(v[0])+"\n")
		inFile := v[0]
		if o.isPath() {
			inFile = filepath.Join(filepath.Dir(path), v[0])
		}
		env := o.env() + "=" + v[1]
		steps := []struct {
			args, environ []string
			want          string
		}{
			{[]string{"--config", path}, nil, inFile},
			{[]string{"--config", path}, []string{env}, v[1]},
			{nil, []string{env, "KCACHE_CONFIG=" + path}, v[1]},
			{[]string{"--config=" + path, "--" + o.name + "=" + v[2]}, []string{env}, v[2]},
		}
		for _, s := range steps {
			c := mustLoad(t, append(append([]string{}, without...), s.args...), s.environ)
			if got := o.value(c).String(); got != s.want {
				t.Errorf("%s with %v %v: %q, want %q", o.name, s.args, s.environ, got, s.want)
			}
		}
		if o.def != "" {
			if got := o.value(mustLoad(t, []string{"--topic=t"}, nil)).String(); o.name != "topic" && got != o.def {
				t.Errorf("%s by default: %q, want %q", o.name, got, o.def)
			}
		}
	}
}

func TestTopics(t *testing.T) {
	path := writeFile(t, `
version: 1
value-encoding: utf-8
topics:
  - name: users
    read-only: false
    value-encoding: json
  - name: organizations
    key-encoding: binary
    start: offset:12
    delete-retention: 1h
start: -90m
delete-retention: 2h
repair-split-keys: true
`)
	users := Topic{Name: "users", ReadOnly: false, KeyEncoding: "utf-8", ValueEncoding: "json", Start: "-90m", DeleteRetention: 2 * time.Hour, RepairSplitKeys: true}
	organizations := Topic{Name: "organizations", ReadOnly: true, KeyEncoding: "binary", ValueEncoding: "utf-8", Start: "offset:12", DeleteRetention: time.Hour}
	plain := Topic{Name: "plain", ReadOnly: true, KeyEncoding: "utf-8", ValueEncoding: "utf-8", Start: "-90m", DeleteRetention: 2 * time.Hour}
	tests := []struct {
		args, environ []string
		want          []Topic
	}{
		{nil, nil, []Topic{users, organizations}},
		{[]string{"--topic", "plain", "--topic=users"}, nil, []Topic{plain, users}},
		{nil, []string{"KCACHE_TOPIC=users,organizations"}, []Topic{users, organizations}},
		{[]string{"--topic=plain", "--repair-split-keys=false"}, []string{"KCACHE_TOPIC=users"}, []Topic{plain}},
	}
	for _, tt := range tests {
		c := mustLoad(t, append(tt.args, "--config", path), tt.environ)
		if len(c.Topics) != len(tt.want) {
			t.Errorf("%v %v: %+v, want %+v", tt.args, tt.environ, c.Topics, tt.want)
			continue
		}
		for i := range tt.want {
			if c.Topics[i] != tt.want[i] {
				t.Errorf("%v %v: topic %d is %+v, want %+v", tt.args, tt.environ, i, c.Topics[i], tt.want[i])
			}
		}
	}
}

func TestDev(t *testing.T) {
	c := mustLoad(t, []string{"--dev"}, nil)
	if len(c.Topics) != 3 || c.Topics[0].Name != "users" || c.Topics[0].ReadOnly || c.RESPAddr != "127.0.0.1:6379" ||
		c.AdminAddr != "127.0.0.1:8080" || c.ShutdownGrace != 0 || len(c.KafkaBootstrap) != 0 {
		t.Errorf("--dev: %+v", c)
	}
	c = mustLoad(t, []string{"--resp-addr=:0", "--read-only"}, []string{"KCACHE_DEV=true", "KCACHE_SHUTDOWN_GRACE=2s"})
	if !c.Topics[2].ReadOnly || c.RESPAddr != ":0" || c.ShutdownGrace != 2*time.Second {
		t.Errorf("options beside --dev are not honoured: %+v", c)
	}
	c = mustLoad(t, []string{"--dev=false", "--topic=t"}, []string{"KCACHE_DEV=true"})
	if c.Dev || c.RESPAddr != ":6379" || !c.ReadOnly {
		t.Errorf("--dev=false over KCACHE_DEV=true: %+v", c)
	}
}

func TestIdentity(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args, environ []string
		want          string
		warns         bool
	}{
		{nil, []string{"POD_NAMESPACE=prod", "POD_NAME=cache-0"}, "prod.cache-0", false},
		{nil, nil, "local." + host, false},
		{nil, []string{"POD_NAME=cache-0"}, "local." + host, true},
		{[]string{"--identity", "me"}, []string{"POD_NAMESPACE=prod", "POD_NAME=cache-0"}, "me", false},
	}
	for _, tt := range tests {
		c, warnings, err := Load(append(tt.args, "--topic=t"), tt.environ)
		if err != nil || c.Identity != tt.want || (len(warnings) > 0) != tt.warns {
			t.Errorf("%v %v: %+v, %q, %v; want %q", tt.args, tt.environ, c, warnings, err, tt.want)
		}
	}
}

// Each fault is one line that names the option where it was given.
func TestErrors(t *testing.T) {
	tests := []struct {
		name    string
		args    []string
		environ []string
		file    string
		want    string // FILE stands for the file's path
	}{
		{"no topic", nil, nil, "", "--topic: no topic is given"},
		{"unknown flag", []string{"--topc=t"}, nil, "", "--topc: unknown flag (did you mean topic?)"},
		{"unknown flag unlike any", []string{"--frobnicate"}, nil, "", "--frobnicate: unknown flag"},
		{"single dash", []string{"-topic", "t"}, nil, "", `unexpected argument "-topic": flags begin with two dashes, --topic`},
		{"single dash and value", []string{"-topic=t"}, nil, "", `unexpected argument "-topic=t": flags begin with two dashes, --topic`},
		{"dash", []string{"--topic=t", "-"}, nil, "", `unexpected argument "-"`},
		{"empty argument", []string{"--topic=t", ""}, nil, "", `unexpected argument ""`},
		{"argument", []string{"users"}, nil, "", `unexpected argument "users"`},
		{"boolean apart", []string{"--topic=t", "--read-only", "false"}, nil, "", `unexpected argument "false": a boolean is written --read-only, --read-only=true or --read-only=false`},
		{"boolean apart, in other words", []string{"--read-only", "yes"}, nil, "", `unexpected argument "yes": a boolean is written --read-only, `},
		{"no value", []string{"--topic"}, nil, "", "--topic: needs a value"},
		{"boolean", []string{"--topic=t", "--read-only=maybe"}, nil, "", `--read-only: "maybe" is neither true nor false`},
		{"bootstrap port", []string{"--topic=t", "--kafka-bootstrap=kafka:x"}, nil, "", `--kafka-bootstrap: "kafka:x" is not host:port: "x" is not a port`},
		{"bootstrap scheme", []string{"--topic=t", "--kafka-bootstrap=kafka://k:9092"}, nil, "", "--kafka-bootstrap: "},
		{"bootstrap host", []string{"--topic=t", "--kafka-bootstrap=:9092"}, nil, "", "the host is missing"},
		{"bootstrap port 0", []string{"--topic=t", "--kafka-bootstrap=k:0"}, nil, "", `"0" is not a port number from 1`},
		{"bootstrap empty item", []string{"--topic=t", "--kafka-bootstrap=k:1,,"}, nil, "", "empty name"},
		{"address in the environment", []string{"--topic=t"}, []string{"KCACHE_RESP_ADDR=6379"}, "", `KCACHE_RESP_ADDR: "6379" is not host:port: missing port`},
		{"port range", []string{"--topic=t", "--admin-addr=:65536"}, nil, "", "--admin-addr: "},
		{"encoding", []string{"--topic=t", "--value-encoding=xml"}, nil, "", `--value-encoding: unknown encoding "xml": known are utf-8, json, binary, id, hex, base64, ascii, utf16le, json.gzip, avro, json-schema`},
		{"key encoding", []string{"--topic=t", "--key-encoding=xml"}, nil, "", `--key-encoding: unknown encoding "xml": known are utf-8, json, binary, id, hex, base64, ascii, utf16le`},
		{"unfit key encoding", []string{"--topic=t", "--key-encoding=kafka-cache.json.gzip"}, nil, "", `--key-encoding: codec: unfit: json.gzip cannot encode keys, since gzip's bytes`},
		{"registry's key encoding", []string{"--topic=t", "--key-encoding=avro"}, nil, "", `--key-encoding: avro is for values alone: known for keys are utf-8`},
		{"no registry", []string{"--topic=t", "--value-encoding=avro"}, nil, "", `--value-encoding: the value encoding avro of topic "t" needs --schema-registry`},
		{"no registry for a topic", nil, nil, "topics:\n  - name: t\n    value-encoding: json-schema\n", `FILE:3: value-encoding: the value encoding json-schema of topic "t" needs --schema-registry`},
		{"a registry for nothing", []string{"--topic=t", "--schema-registry=http://r"}, nil, "", `--schema-registry: no topic has a value encoding that needs it: avro, json-schema`},
		{"registry's address", []string{"--topic=t", "--schema-registry=r:8081"}, nil, "", `--schema-registry: "r:8081" is not an http or https URL`},
		{"registry's password in its address", []string{"--topic=t", "--schema-registry=http://u:p@r"}, nil, "", `--schema-registry: an address of the schema registry has a user or password in it`},
		{"registry's user alone", []string{"--topic=t", "--value-encoding=avro", "--schema-registry=http://r", "--schema-registry-user=u"}, nil, "", `--schema-registry-user: needs --schema-registry-password-file`},
		{"registry's password alone", []string{"--topic=t", "--value-encoding=avro", "--schema-registry=http://r", "--schema-registry-password-file=p"}, nil, "", `--schema-registry-password-file: needs --schema-registry-user`},
		{"registry's user without it", []string{"--topic=t", "--schema-registry-user=u", "--schema-registry-password-file=p"}, nil, "", `--schema-registry-user: needs --schema-registry as well`},
		{"registry's ca without TLS", []string{"--topic=t", "--value-encoding=avro", "--schema-registry=http://r", "--schema-registry-ca=c"}, nil, "", `--schema-registry-ca: needs an https address`},
		{"duration", []string{"--topic=t", "--apply-timeout=1"}, nil, "", "--apply-timeout: "},
		{"nothing to serve unverified", []string{"--topic=t", "--serve-unverified"}, nil, "", `--serve-unverified: needs --data-dir as well`},
		{"negative", []string{"--topic=t", "--startup-timeout=-1s"}, nil, "", "--startup-timeout: -1s is less than 0s"},
		{"choice", []string{"--topic=t", "--write-reply=soon"}, nil, "", `--write-reply: "soon" is none of applied, acknowledged`},
		{"memory", []string{"--topic=t", "--memory-limit=lots"}, nil, "", "--memory-limit: "},
		{"too little memory", []string{"--topic=t", "--memory-limit=1Ki"}, nil, "", "--memory-limit: 1Ki is less than 64Mi"},
		{"too little memory in the file", []string{"--topic=t"}, nil, "memory-limit: 67108863", "FILE:1: memory-limit: 67108863 is less than 64Mi"},
		{"topic name", []string{"--topic=a/b"}, nil, "", `--topic: "a/b" is not a legal topic name`},
		{"topic twice", []string{"--topic=a", "--topic=a"}, nil, "", `--topic: topic "a" is given twice`},
		{"identity", []string{"--topic=t", "--identity=a b"}, nil, "", "--identity: "},
		{"later flag", []string{"--topic=t", "--ready-requires=all"}, nil, "", "--ready-requires: not supported by this version yet"},
		{"peers", []string{"--topic=t", "--peers=a"}, nil, "", `--peers: "a" is neither host:port nor dns:name:port`},
		{"peers' TLS", []string{"--topic=t", "--peers=a:1", "--peer-tls-ca=f"}, nil, "", "--peer-tls-ca: needs --peer-tls as well"},
		{"peers' password", []string{"--topic=t", "--peer-password-file=f"}, nil, "", "--peer-password-file: needs --peers as well"},
		{"later variable", []string{"--topic=t"}, []string{"KCACHE_READY_REQUIRES=all"}, "", "KCACHE_READY_REQUIRES: not supported by this version yet"},
		{"dev and bootstrap", []string{"--dev"}, []string{"KCACHE_KAFKA_BOOTSTRAP=k:9092"}, "", "KCACHE_KAFKA_BOOTSTRAP: --dev brings its own broker"},
		{"dev and topic", []string{"--dev", "--topic=t"}, nil, "", "--topic: --dev has the sample model's topics"},
		{"dev and topics", []string{"--dev"}, nil, "topics: [{name: t}]", "FILE:1: topics: --dev has"},
		{"dev and TLS", []string{"--dev", "--kafka-tls"}, nil, "", "--kafka-tls: --dev brings"},
		{"key without cert", []string{"--topic=t", "--resp-tls-key=k"}, nil, "", "--resp-tls-key: needs --resp-tls-cert"},
		{"sasl user alone", []string{"--topic=t", "--kafka-sasl-user=u"}, nil, "", "--kafka-sasl-user: needs --kafka-sasl-mechanism"},
		{"password of no mechanism", []string{"--topic=t", "--kafka-sasl-password-file=p"}, nil, "", "--kafka-sasl-password-file: needs --kafka-sasl-mechanism"},
		{"sasl without a password", []string{"--topic=t", "--kafka-sasl-mechanism=PLAIN", "--kafka-sasl-user=u"}, nil, "", "--kafka-sasl-mechanism: needs --kafka-sasl-password-file"},
		{"sasl without a user", []string{"--topic=t", "--kafka-sasl-mechanism=PLAIN", "--kafka-sasl-password-file=p"}, nil, "", "--kafka-sasl-mechanism: needs --kafka-sasl-user"},
		{"token of a password's mechanism", []string{"--topic=t", "--kafka-sasl-mechanism=PLAIN", "--kafka-sasl-user=u", "--kafka-sasl-password-file=p", "--kafka-sasl-token-file=f"}, nil, "",
			"--kafka-sasl-token-file: is for --kafka-sasl-mechanism OAUTHBEARER, and it is PLAIN"},
		{"tokens without", []string{"--topic=t", "--kafka-sasl-mechanism=OAUTHBEARER"}, nil, "", "--kafka-sasl-mechanism: OAUTHBEARER needs --kafka-sasl-token-file or --kafka-sasl-oauth-token-url"},
		{"tokens and a user", []string{"--topic=t", "--kafka-sasl-mechanism=OAUTHBEARER", "--kafka-sasl-token-file=f", "--kafka-sasl-user=u"}, nil, "", "--kafka-sasl-user: is not for --kafka-sasl-mechanism OAUTHBEARER"},
		{"tokens twice", []string{"--topic=t", "--kafka-sasl-mechanism=OAUTHBEARER", "--kafka-sasl-token-file=f", "--kafka-sasl-oauth-token-url=https://u"}, nil, "", "--kafka-sasl-oauth-token-url: there is --kafka-sasl-token-file too"},
		{"tokens of nobody", []string{"--topic=t", "--kafka-sasl-mechanism=OAUTHBEARER", "--kafka-sasl-oauth-token-url=https://u"}, nil, "", "--kafka-sasl-oauth-token-url: needs --kafka-sasl-oauth-client-id"},
		{"scope of a file", []string{"--topic=t", "--kafka-sasl-mechanism=OAUTHBEARER", "--kafka-sasl-token-file=f", "--kafka-sasl-oauth-scope=s"}, nil, "", "--kafka-sasl-oauth-scope: needs --kafka-sasl-oauth-token-url"},
		{"tokens in the clear", []string{"--topic=t", "--kafka-sasl-oauth-token-url=http://idp/token"}, nil, "", "--kafka-sasl-oauth-token-url: the address is one of http, and the client's secret would be in the clear"},
		{"tokens with a user", []string{"--topic=t", "--kafka-sasl-oauth-token-url=https://me:hunter2@idp/token"}, nil, "", "--kafka-sasl-oauth-token-url: the address has a user in it"},
		{"ca of a clear endpoint", []string{"--topic=t", "--kafka-sasl-mechanism=OAUTHBEARER", "--kafka-sasl-oauth-token-url=http://[::1]:1/t", "--kafka-sasl-oauth-client-id=i", "--kafka-sasl-oauth-client-secret-file=s",
			"--kafka-sasl-oauth-ca=c"}, nil, "", "--kafka-sasl-oauth-ca: needs an https address as --kafka-sasl-oauth-token-url"},
		{"extension", []string{"--topic=t", "--kafka-sasl-extensions=a"}, nil, "", `--kafka-sasl-extensions: "a" is not a name and a value`},
		{"extension auth", []string{"--topic=t", "--kafka-sasl-extensions=auth=x"}, nil, "", `--kafka-sasl-extensions: extension "auth"`},
		{"dev and tokens", []string{"--dev", "--kafka-sasl-token-file=f"}, nil, "", "--kafka-sasl-token-file: --dev brings"},
		{"ca without tls", []string{"--topic=t"}, nil, "kafka-tls-ca: ca.pem", "FILE:1: kafka-tls-ca: needs --kafka-tls"},
		{"no file", []string{"--topic=t", "--config=/does/not/exist"}, nil, "", "--config: open /does/not/exist"},

		{"unknown key", nil, nil, "topics:\n  - name: t\nread-onyl: true\n", "FILE:3: read-onyl: unknown key (did you mean read-only?)"},
		{"unknown topic key", nil, nil, "topics:\n  - name: t\n    readonly: true\n", "FILE:3: readonly: unknown key"},
		{"start", nil, nil, "topics:\n  - name: t\n    start: yesterday\n", `FILE:3: start: topic "t": start "yesterday": want "earliest", "offset:N"`},
		{"start offset", nil, nil, "topics:\n  - name: a\n  - name: t\n    start: offset:-1\n", `FILE:4: start: topic "t": start "offset:-1": an offset is not below 0`},
		{"start flag", []string{"--topic=t", "--start=24h"}, nil, "", `--start: topic "t": start "24h": want "earliest"`},
		{"start variable", []string{"--topic=t"}, []string{"KCACHE_START=timestamp:now"}, "", `KCACHE_START: topic "t": start "timestamp:now"`},
		{"retention", nil, nil, "topics:\n  - name: t\n    delete-retention: 86400000\n", `FILE:3: delete-retention: "86400000" is not a duration`},
		{"repair", nil, nil, "topics:\n  - name: t\n    repair-split-keys: true\n", `FILE:3: repair-split-keys: topic "t" is read-only`},
		{"repair flag", []string{"--topic=t", "--repair-split-keys"}, nil, "", "--repair-split-keys: every topic is read-only"},
		{"refresh", []string{"--topic=t", "--metadata-refresh=0"}, nil, "", "--metadata-refresh: 0 is less than 10ms"},
		{"validate as a flag", []string{"--topic=t", "--validate=x"}, nil, "", "--validate: can be set in the file of --config alone"},
		{"resolver in the environment", []string{"--topic=t"}, []string{"KCACHE_RESOLVER=."}, "", "KCACHE_RESOLVER: can be set in the file of --config alone"},
		{"missing program", nil, nil, "topics:\n  - name: t\n    resolver: u.jq\n", "FILE:3: resolver: open "},
		{"bad program", nil, nil, "topics:\n  - name: t\n    resolver: '.value |'\n", "FILE:3: resolver: line 1, column "},
		{"refused program", nil, nil, "topics:\n  - name: t\n    resolver: now\n", "FILE:3: resolver: now cannot be used"},
		{"empty program", nil, nil, "topics:\n  - name: t\n    resolver: ''\n", "FILE:3: resolver: is empty"},
		{"yields", nil, nil, "topics:\n  - name: t\n    resolver: .\n    resolver-yields: all\n", `FILE:4: resolver-yields: "all" is none of changes, value`},
		{"yields without a resolver", nil, nil, "topics:\n  - name: t\n    resolver-yields: value\n", "FILE:3: resolver-yields: there is no resolver"},
		{"missing schema", nil, nil, "topics:\n  - name: t\n    validate: {read: {schema: s.json}}\n", "FILE:3: schema: open "},
		{"bad schema", nil, nil, "topics:\n  - name: t\n    validate: {write: {schema: '{\"type\": 1}'}}\n", "FILE:3: schema: compile schema: "},
		{"bad rule", nil, nil, "topics:\n  - name: t\n    validate: {mutation: {rule: 'self.'}}\n", "FILE:3: rule: "},
		{"outcome", nil, nil, "topics:\n  - name: t\n    validate: {read: {on-invalid: explode}}\n", `FILE:3: on-invalid: "explode" is none of delete, keep, skip, stop`},
		{"outcome of a write", nil, nil, "topics:\n  - name: t\n    validate: {write: {schema: '{}', on-invalid: skip}}\n", "FILE:3: on-invalid: unknown key of validate.write"},
		{"outcome without a rule", nil, nil, "topics:\n  - name: t\n    validate: {mutation: {on-invalid: skip}}\n", "FILE:3: mutation: has no rule"},
		{"part of validate", nil, nil, "topics:\n  - name: t\n    validate: {reed: {}}\n", "FILE:3: reed: unknown key of validate"},
		{"dead letters to itself", nil, nil, "topics:\n  - name: t\n    dead-letter-topic: t\n", `FILE:3: dead-letter-topic: "t" is not the name of another topic`},
		{"validate at the top", nil, nil, "topics: [{name: t}]\nvalidate: {read: {}}\n", "FILE:2: read: has no schema"},
		{"a topic that --dev has not", []string{"--dev"}, nil, "topics: [{name: t}]\n", "FILE:1: topics: --dev has the sample model's topics"},
		{"topic without name", nil, nil, "topics:\n  - read-only: true\n", "FILE:2: topics: a topic without a name"},
		{"topic not a mapping", nil, nil, "topics:\n  - users\n", `FILE:2: topics: a topic is written "- name: users"`},
		{"topic not a mapping either", nil, nil, "topics:\n  - [users]\n", "FILE:2: is not a mapping"},
		{"topics not a list", nil, nil, "topics: users\n", "FILE:1: topics: is not a list"},
		{"topic and topics", nil, nil, "topic: a\ntopics: [{name: t}]\n", "FILE:1: topic: the file has topics as well"},
		{"topic twice in the file", nil, nil, "topics:\n  - name: t\n  - name: t\n", `FILE:3: topics: topic "t" is given twice`},
		{"topic encoding", nil, nil, "topics:\n  - name: t\n    key-encoding: xml\n", `FILE:3: key-encoding: unknown encoding "xml"`},
		{"unfit topic encoding", nil, nil, "topics:\n  - name: t\n    key-encoding: json.gzip\n", `FILE:3: key-encoding: codec: unfit: json.gzip cannot encode keys`},
		{"key twice", nil, nil, "read-only: true\nread-only: false\n", "FILE:2: read-only: is given twice"},
		{"null", nil, nil, "data-dir:\n", "FILE:1: data-dir: has no value"},
		{"list for a scalar", nil, nil, "data-dir: [a]\n", "FILE:1: data-dir: is not a single value"},
		{"empty list", nil, nil, "kafka-bootstrap: []\n", "FILE:1: kafka-bootstrap: an empty list"},
		{"file in the file", nil, nil, "config: other.yaml\n", "FILE:1: config: cannot be set in the file"},
		{"version", nil, nil, "version: 2\n", "FILE:1: version: only version 1"},
		{"syntax", nil, nil, "a: b: c\n", "FILE: yaml: "},
		{"not a mapping", nil, nil, "- a\n", "FILE:1: is not a mapping"},
		{"two documents", nil, nil, "read-only: true\n---\nread-only: false\n", "FILE:2: a second document"},
		{"merge", nil, nil, "<<: {read-only: true}\n", "FILE:1: <<: unknown key"},
	}
	for _, tt := range tests {
		args, path := tt.args, "none"
		if tt.file != "" {
			path = writeFile(t, tt.file)
			args = append(append([]string{}, args...), "--config", path)
		}
		_, _, err := Load(args, append(tt.environ, pod...))
		want := strings.ReplaceAll(tt.want, "FILE", path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\n\twant %s", tt.name, err, want)
			continue
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than one line: %q", tt.name, err)
		}
	}
	if _, _, err := Load([]string{"--topic=t", "--help"}, nil); !errors.Is(err, ErrHelp) {
		t.Errorf("--help: %v, want ErrHelp", err)
	}
}

func TestWarnings(t *testing.T) {
	_, warnings, err := Load([]string{"--topic=t"}, append([]string{
		"KCACHE_RESP_PASSWORD=hunter2", "KCACHE_RED_ONLY=true", "KCACHE_DATA_DIR=", "KCACHE_read_only=maybe",
		"KCACHE_PORT=tcp://10.0.0.1:6379", "KCACHE_SERVICE_HOST=10.0.0.1", "KCACHE_SERVICE_PORT=6379", "KCACHE_SERVICE_PORT_RESP=6379",
		"KCACHE_PORT_6379_TCP=tcp://10.0.0.1:6379", "KCACHE_PORT_6379_TCP_ADDR=10.0.0.1", "KCACHE_PORT_6379_TCP_PROTO=tcp",
		"KCACHE_RESP_SERVICE_HOST=10.0.0.2",
	}, pod...))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(warnings, "\n")
	for _, want := range []string{"KCACHE_RESP_PASSWORD: unknown variable, ignored (did you mean KCACHE_RESP_PASSWORD_FILE?)",
		"KCACHE_RED_ONLY: unknown variable, ignored (did you mean KCACHE_READ_ONLY?)", "KCACHE_read_only: unknown", "8 KCACHE_… variables"} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning %q in\n%s", want, all)
		}
	}
	if len(warnings) != 4 || strings.Contains(all, "hunter2") {
		t.Errorf("warnings: %q", warnings)
	}
}

func TestBytes(t *testing.T) {
	for in, want := range map[string]Bytes{"0": 0, "auto": AutoBytes, "512Mi": 512 << 20, "512MiB": 512 << 20, "2G": 2e9, "2GB": 2e9,
		"64k": 64000, "1Ti": 1 << 40, "123": 123} {
		got, err := ParseBytes(in)
		if err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v; want %d", in, got, err, want)
		}
		if again, err := ParseBytes(got.String()); err != nil || again != got {
			t.Errorf("%d prints as %q, which parses as %d, %v", got, got, again, err)
		}
	}
	for _, in := range []string{"", "-1", "1.5Gi", "Mi", "99999999999Ti", "9223372036854775808", "1 Gi"} {
		if got, err := ParseBytes(in); err == nil {
			t.Errorf("ParseBytes(%q) = %d", in, got)
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add("version: 1\ntopics:\n  - name: a\n    read-only: false\nread-only: true\n")
	f.Add("a: &a [*a]\n")
	f.Add("topics: &t\n  - *t\n")
	f.Add("kafka-bootstrap: [a:1, 'b:2']\n? [x]\n: y\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := parseFile("f.yaml", []byte(text))
		if (file == nil) == (err == nil) {
			t.Fatalf("%v with %v", file, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\r") {
			t.Fatalf("more than one line: %q", err)
		}
	})
}
