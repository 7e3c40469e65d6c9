package config

import (
	"strings"

	"github.com/yolean/kafka-cache/core/cache"
)

// option is one line of the table.
type option struct {
	name    string // the flag without its dashes, and the file's key
	arg     string // how help calls the value; empty: a boolean
	section string
	def     string // the default as text; empty: value's zero
	dev     string // the default with --dev, where it is another
	show    string // what help says of a default that is computed
	help    string // full sentences
	noFile  bool   // flag and environment only
	value   func(*Config) value
}

// isPath reports whether the option names a file or a directory.
func (o *option) isPath() bool { return o.arg == "FILE" || o.arg == "DIR" }

// env is the option's environment variable.
func (o *option) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(o.name, "-", "_"))
}

// sections in the order of the help.
var sections = []string{"Kafka", "Topics", "Schema registry", "Writes", "Redis protocol", "Peers", "Admin", "Storage and memory", "Process"}

var options = []option{
	{name: "kafka-bootstrap", arg: "HOST:PORT,…", section: "Kafka", def: "kafka:9092",
		help:  "Brokers to ask first.",
		value: func(c *Config) value { return brokers{&c.KafkaBootstrap} }},
	{name: "identity", arg: "NAME", section: "Kafka", show: "$POD_NAMESPACE.$POD_NAME, else local.<hostname>",
		help:  "This instance's name, and the consumer group under which its positions are committed.",
		value: func(c *Config) value { return identity{&c.Identity} }},
	{name: "commit-offsets", section: "Kafka", def: "true",
		help:  "Commit positions as the offsets of the group, so that Kafka's own tools show this instance's lag.",
		value: func(c *Config) value { return boolean{&c.CommitOffsets} }},
	{name: "startup-timeout", arg: "DURATION", section: "Kafka", def: "0s",
		help:  "Exit with 1 when brokers or a topic are still out of reach after this long. 0: try for ever.",
		value: func(c *Config) value { return duration{&c.StartupTimeout, 0} }},
	{name: "metadata-refresh", arg: "DURATION", section: "Kafka", def: "5s",
		help: "How often leaders, new partitions and the topics' ids are asked for. A new partition is read within this time; a leader that " +
			"moves is looked for at once.",
		value: func(c *Config) value { return duration{&c.MetadataRefresh, 10 * time1ms} }},
	{name: "kafka-tls", section: "Kafka", def: "false",
		help:  "Use TLS towards the brokers.",
		value: func(c *Config) value { return boolean{&c.KafkaTLS} }},
	{name: "kafka-tls-ca", arg: "FILE", section: "Kafka",
		help:  "Certificates (PEM) to check the brokers' with. Empty: the system's.",
		value: func(c *Config) value { return text{&c.KafkaTLSCA} }},
	{name: "kafka-tls-cert", arg: "FILE", section: "Kafka",
		help:  "Client certificate (PEM) for mutual TLS.",
		value: func(c *Config) value { return text{&c.KafkaTLSCert} }},
	{name: "kafka-tls-key", arg: "FILE", section: "Kafka",
		help:  "Its key (PEM).",
		value: func(c *Config) value { return text{&c.KafkaTLSKey} }},
	{name: "kafka-sasl-mechanism", arg: "NAME", section: "Kafka",
		help:  "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER. Empty: no SASL.",
		value: func(c *Config) value { return choice{&c.KafkaSASLMechanism, saslMechanisms, true} }},
	{name: "kafka-sasl-user", arg: "NAME", section: "Kafka",
		help:  "User for SASL, where there is a password.",
		value: func(c *Config) value { return text{&c.KafkaSASLUser} }},
	{name: "kafka-sasl-password-file", arg: "FILE", section: "Kafka",
		help:  "File with the user's password; a line break at its end is not part of it.",
		value: func(c *Config) value { return text{&c.KafkaSASLPasswordFile} }},
	{name: "kafka-sasl-token-file", arg: "FILE", section: "Kafka",
		help:  "File with the token of OAUTHBEARER, such as a projected service account token.",
		value: func(c *Config) value { return text{&c.KafkaSASLTokenFile} }},
	{name: "kafka-sasl-oauth-token-url", arg: "URL", section: "Kafka",
		help:  "Where tokens of OAUTHBEARER are asked for, by OAuth 2.0's client credentials grant: https, or http to loopback.",
		value: func(c *Config) value { return tokenURL{&c.KafkaOAuth.TokenURL} }},
	{name: "kafka-sasl-oauth-client-id", arg: "NAME", section: "Kafka",
		help:  "Who asks for them.",
		value: func(c *Config) value { return text{&c.KafkaOAuth.ClientID} }},
	{name: "kafka-sasl-oauth-client-secret-file", arg: "FILE", section: "Kafka",
		help:  "File with the client's secret; a line break at its end is not part of it.",
		value: func(c *Config) value { return text{&c.KafkaOAuth.ClientSecretFile} }},
	{name: "kafka-sasl-oauth-scope", arg: "SCOPE,…", section: "Kafka",
		help:  "What the token is asked for.",
		value: func(c *Config) value { return optionalList{&c.KafkaOAuth.Scope} }},
	{name: "kafka-sasl-oauth-ca", arg: "FILE", section: "Kafka",
		help:  "Certificates (PEM) to check that of --kafka-sasl-oauth-token-url with. Empty: the system's.",
		value: func(c *Config) value { return text{&c.KafkaOAuth.CA} }},
	{name: "kafka-sasl-extensions", arg: "NAME=VALUE,…", section: "Kafka",
		help:  "Extensions that go with the token of OAUTHBEARER (KIP-342), for brokers that ask for some. They are not secret.",
		value: func(c *Config) value { return extensions{&c.KafkaSASLExtensions} }},

	{name: "topic", arg: "NAME", section: "Topics", show: "required",
		help: "A topic to tail. Repeatable (or a comma-separated list); the n-th is Redis database n, from 0. Replaces the file's list of " +
			"topics; one that the file also has keeps its settings from there.",
		value: func(c *Config) value { return list{&c.topicNames} }},
	{name: "read-only", section: "Topics", def: "true", dev: "false",
		help:  "Refuse writes, where a topic does not say.",
		value: func(c *Config) value { return boolean{&c.ReadOnly} }},
	{name: "key-encoding", arg: "NAME", section: "Topics", def: "utf-8",
		help:  "Encoding of keys in the log, where a topic does not say: " + encoding{keys: true}.names() + " (see encodings.md).",
		value: func(c *Config) value { return encoding{&c.KeyEncoding, true} }},
	{name: "value-encoding", arg: "NAME", section: "Topics", def: "json",
		help:  "Encoding of values in the log, where a topic does not say: " + encoding{}.names() + " (see encodings.md).",
		value: func(c *Config) value { return encoding{&c.ValueEncoding, false} }},
	{name: "start", arg: "WHERE", section: "Topics", def: cache.DefaultStart,
		help: "Where reading begins without a checkpoint in the data directory, where a topic does not say: earliest, offset:N (in every partition), " +
			"timestamp: and a time as in RFC 3339 (timestamp:2026-01-02T15:04:05Z), or how long ago (-24h, -90m). Keys whose newest record is older are " +
			"not there. It belongs to a checkpoint: with another value the topic is read anew.",
		value: func(c *Config) value { return text{&c.Start} }},
	{name: "delete-retention", arg: "DURATION", section: "Topics", def: "0s",
		help: "What delete.retention.ms of a topic is, where a topic does not say and Kafka's ACLs do not let this instance read it (DescribeConfigs on the " +
			"topic). It is needed there, and not looked at elsewhere. 0: not known.",
		value: func(c *Config) value { return duration{&c.DeleteRetention, 0} }},
	{name: "repair-split-keys", section: "Topics", def: "false",
		help: "Write tombstones to the partitions that hold outdated records of a key whose newest record is in another partition, as KAFKA.REPAIR does, " +
			"every few seconds, where a topic does not say and is writable.",
		value: func(c *Config) value { return boolean{&c.RepairSplitKeys} }},

	{name: "schema-registry", arg: "URL,…", section: "Schema registry",
		help: "Where the schemas are of topics with the value encoding avro or json-schema, which need it: http or https. The next address is asked where " +
			"one cannot be connected to. While none answers, records whose schema is not known yet are waited for.",
		value: func(c *Config) value { return registryURLs{&c.SchemaRegistry} }},
	{name: "schema-registry-user", arg: "NAME", section: "Schema registry",
		help:  "User for HTTP basic authentication.",
		value: func(c *Config) value { return text{&c.SchemaRegistryUser} }},
	{name: "schema-registry-password-file", arg: "FILE", section: "Schema registry",
		help:  "File with the user's password; a line break at its end is not part of it.",
		value: func(c *Config) value { return text{&c.SchemaRegistryPasswordFile} }},
	{name: "schema-registry-ca", arg: "FILE", section: "Schema registry",
		help:  "Certificates (PEM) to check the registry's with. Empty: the system's.",
		value: func(c *Config) value { return text{&c.SchemaRegistryCA} }},

	{name: "write-reply", arg: "WHEN", section: "Writes", def: Applied,
		help: "When a write is answered: applied (it is in the log, and every connection to this instance reads it) or acknowledged " +
			"(it is in the log).",
		value: func(c *Config) value { return choice{&c.WriteReply, []string{Applied, Acknowledged}, false} }},
	{name: "apply-timeout", arg: "DURATION", section: "Writes", def: "1s",
		help:  "How long an acknowledged write may take to be applied here before it is answered with -PENDING and its token.",
		value: func(c *Config) value { return duration{&c.ApplyTimeout, time1ms} }},

	{name: "resp-addr", arg: "HOST:PORT", section: "Redis protocol", def: ":6379", dev: "127.0.0.1:6379",
		help:  "Where Redis clients connect. Port 0 takes a free one, which the log names.",
		value: func(c *Config) value { return listenAddr{&c.RESPAddr} }},
	{name: "resp-password-file", arg: "FILE", section: "Redis protocol",
		help:  "File with the password that clients must give (that of the user default); up to 8 lines are as many passwords. It is read again while running. Empty: none is asked for.",
		value: func(c *Config) value { return text{&c.RESPPasswordFile} }},
	{name: "protected-mode", section: "Redis protocol", def: "true",
		help:  "Without a password, refuse clients that do not connect over loopback.",
		value: func(c *Config) value { return boolean{&c.ProtectedMode} }},
	{name: "resp-tls-cert", arg: "FILE", section: "Redis protocol",
		help:  "Certificate (PEM, with its chain): clients must use TLS.",
		value: func(c *Config) value { return text{&c.RESPTLSCert} }},
	{name: "resp-tls-key", arg: "FILE", section: "Redis protocol",
		help:  "Its key (PEM).",
		value: func(c *Config) value { return text{&c.RESPTLSKey} }},
	{name: "resp-tls-client-ca", arg: "FILE", section: "Redis protocol",
		help:  "Certificates (PEM) that clients' own must be signed by: mutual TLS.",
		value: func(c *Config) value { return text{&c.RESPTLSClientCA} }},
	{name: "resp-tls-min-version", arg: "VERSION", section: "Redis protocol", def: "1.2",
		help:  "The oldest version of TLS that is spoken: 1.2 or 1.3.",
		value: func(c *Config) value { return choice{&c.RESPTLSMinVersion, []string{"1.2", "1.3"}, false} }},
	{name: "resp-tls-auth-clients-user", arg: "WHICH", section: "Redis protocol", def: "off",
		help:  "CN: whoever has a client certificate is logged in as the user of the file's users that its common name names, if there is one. off: it is not looked at.",
		value: func(c *Config) value { return choice{&c.RESPTLSAuthClientsUser, []string{"off", "CN"}, false} }},
	{name: "resp-reload-interval", arg: "DURATION", section: "Redis protocol", def: "10s",
		help: "How often the files of passwords and certificates are looked at. Where they have changed they hold from then on; where the new ones are not usable " +
			"those before go on to hold, a line of the log says so, and kafka_cache_resp_reload_errors_total counts it. 0: never.",
		value: func(c *Config) value { return duration{&c.RESPReloadInterval, 0} }},
	{name: "resp-driver", arg: "NAME", section: "Redis protocol", def: Goroutines,
		help: "What waits for clients: goroutines (one a connection) or epoll (event loops: much shorter tails and less memory a connection, and fewer operations a second; " +
			"on Linux, and not with TLS, where it is goroutines). What is answered is the same.",
		value: func(c *Config) value { return choice{&c.RESPDriver, []string{Goroutines, Epoll}, false} }},
	{name: "resp-auth-timeout", arg: "DURATION", section: "Redis protocol", def: "30s",
		help:  "Close a connection that has not logged in this long after it was accepted, where that is asked for.",
		value: func(c *Config) value { return duration{&c.RESPAuthTimeout, time1ms} }},
	{name: "resp-write-timeout", arg: "DURATION", section: "Redis protocol", def: "30s",
		help:  "Close a connection whose peer takes no byte of its replies for this long.",
		value: func(c *Config) value { return duration{&c.RESPWriteTimeout, time1ms} }},
	{name: "resp-output-limit", arg: "BYTES", section: "Redis protocol", def: "64Mi",
		help:  "Replies that are held for one client that does not read. At the limit no more commands are taken from it. It bounds each reply of many keys as well.",
		value: func(c *Config) value { return byteLimit{&c.RESPOutputLimit, 1 << 16} }},
	{name: "resp-query-limit", arg: "BYTES", section: "Redis protocol", def: "1Gi",
		help:  "Bytes that are held of one client's command that has not fully arrived; past it the client is closed.",
		value: func(c *Config) value { return byteLimit{&c.RESPQueryLimit, 1 << 16} }},
	{name: "resp-buffer-limit", arg: "BYTES", section: "Redis protocol", def: "2Gi",
		help:  "What all clients' buffers hold together, and no more than a third of what --memory-limit leaves beside the store. From half of it on no more commands are taken from clients that do not read, and few writes at a time from each; where it is reached the client that holds the most is closed, one that takes no bytes first.",
		value: func(c *Config) value { return byteLimit{&c.RESPBufferLimit, 1 << 20} }},
	{name: "resp-maxclients", arg: "N", section: "Redis protocol", def: "10000",
		help: "Connections at the same time, those of other instances (--peers) and of administrators among them, as in Redis; more are refused as Redis does. An instance that is refused asks " +
			"again, and is not counted by WAIT meanwhile.",
		value: func(c *Config) value { return count{&c.RESPMaxClients, 1} }},
	{name: "resp-max-unauthenticated", arg: "N", section: "Redis protocol", def: "0",
		help: "Of them, connections that are in the TLS handshake, or have not logged in where that is asked for. For one more the one that has been so for longest is " +
			"closed, as it is where there are --resp-maxclients. 0: half of --resp-maxclients.",
		value: func(c *Config) value { return count{&c.RESPMaxUnauthenticated, 0} }},
	{name: "resp-rate-limit", arg: "N", section: "Redis protocol", def: "0",
		help: "Commands that one connection may run a second. Those of one second, 100 at least, may come at once; what comes sooner is read later, and never refused. " +
			"0: any number.",
		value: func(c *Config) value { return count{&c.RESPRateLimit, 0} }},
	{name: "resp-idle-timeout", arg: "DURATION", section: "Redis protocol", def: "0s",
		help:  "Close a connection that has been idle for this long. 0: never.",
		value: func(c *Config) value { return duration{&c.RESPIdleTimeout, 0} }},
	{name: "resp-allow-flush", section: "Redis protocol", def: "false",
		help:  "For test suites only: let FLUSHALL and FLUSHDB write a tombstone for every key.",
		value: func(c *Config) value { return boolean{&c.RESPAllowFlush} }},

	{name: "peers", arg: "ADDR,…", section: "Peers",
		help: "Other instances, which WAIT counts: host:port, or dns:name:port for every address of a name (a headless Service), which is looked up again every few " +
			"seconds. This instance may be among them: it is recognised. Repeatable (or a comma-separated list).",
		value: func(c *Config) value { return peerAddrs{&c.Peers} }},
	{name: "peer-user", arg: "NAME", section: "Peers", def: "default",
		help:  "User that the peers are asked as, with --peer-password-file.",
		value: func(c *Config) value { return text{&c.PeerUser} }},
	{name: "peer-password-file", arg: "FILE", section: "Peers",
		help:  "File with the user's password, read again for each connection; a line break at its end is not part of it. Empty: no AUTH is sent.",
		value: func(c *Config) value { return text{&c.PeerPasswordFile} }},
	{name: "peer-tls", section: "Peers", def: "false",
		help:  "Use TLS towards the peers.",
		value: func(c *Config) value { return boolean{&c.PeerTLS} }},
	{name: "peer-tls-ca", arg: "FILE", section: "Peers",
		help:  "Certificates (PEM) to check the peers' with. Empty: the system's. This file and the next two are read again for each connection.",
		value: func(c *Config) value { return text{&c.PeerTLSCA} }},
	{name: "peer-tls-cert", arg: "FILE", section: "Peers",
		help:  "Client certificate (PEM) for mutual TLS.",
		value: func(c *Config) value { return text{&c.PeerTLSCert} }},
	{name: "peer-tls-key", arg: "FILE", section: "Peers",
		help:  "Its key (PEM).",
		value: func(c *Config) value { return text{&c.PeerTLSKey} }},
	{name: "peer-tls-server-name", arg: "NAME", section: "Peers",
		help:  "Name that the peers' certificates must have. Empty: the host of --peers.",
		value: func(c *Config) value { return text{&c.PeerTLSServerName} }},

	{name: "admin-addr", arg: "HOST:PORT", section: "Admin", def: ":8080", dev: "127.0.0.1:8080",
		help:  "Where metrics, probes and status are served over HTTP. Port 0 takes a free one, which the log names.",
		value: func(c *Config) value { return listenAddr{&c.AdminAddr} }},
	{name: "admin-token-file", arg: "FILE", section: "Admin",
		help: "File with the bearer token that everything but the probes asks for (browsers: as the password, with any name); up to 8 lines are as many tokens, each " +
			"of 16 characters at least. It is read again while running, as often as --resp-reload-interval says. Without it and without --admin-tls-client-ca the key look-up, " +
			"/api/v1/invalid and profiles are answered over loopback only.",
		value: func(c *Config) value { return text{&c.AdminTokenFile} }},
	{name: "admin-tls-cert", arg: "FILE", section: "Admin",
		help:  "Certificate (PEM, with its chain): HTTPS alone is served. This file and the next two are read again while running, as often as --resp-reload-interval says.",
		value: func(c *Config) value { return text{&c.AdminTLSCert} }},
	{name: "admin-tls-key", arg: "FILE", section: "Admin",
		help:  "Its key (PEM).",
		value: func(c *Config) value { return text{&c.AdminTLSKey} }},
	{name: "admin-tls-client-ca", arg: "FILE", section: "Admin",
		help:  "Certificates (PEM) that clients' own must be signed by: mutual TLS for everything but the probes, which are answered without. With a token as well either is enough.",
		value: func(c *Config) value { return text{&c.AdminTLSClientCA} }},
	{name: "ready-max-staleness", arg: "DURATION", section: "Admin", def: "0s",
		help: "Make /readyz fail while a partition's last successful fetch is older than this. 0: once loaded, an instance stays " +
			"ready through a Kafka outage.",
		value: func(c *Config) value { return duration{&c.ReadyMaxStaleness, 0} }},

	{name: "data-dir", arg: "DIR", section: "Storage and memory",
		help:  "Directory that survives restarts, so that a start continues where the last one ended. Empty: everything in memory.",
		value: func(c *Config) value { return text{&c.DataDir} }},
	{name: "serve-unverified", section: "Storage and memory", def: "false",
		help: "Where Kafka cannot be reached at the start, serve what --data-dir has, as Stale, instead of waiting for it. Nothing of it has been checked " +
			"against the log then: see guarantees.md.",
		value: func(c *Config) value { return boolean{&c.ServeUnverified} }},
	{name: "memory-limit", arg: "BYTES", section: "Storage and memory", def: "auto",
		help: "Memory that the process is meant to stay within: bytes, with Ki, Mi, Gi (or K, M, G) behind; auto: the limit of the cgroup, " +
			"if it has one; 0: none; 64Mi at least. The Go runtime is told (as by GOMEMLIMIT, which is left alone where it is set and this is auto) to keep its " +
			"own memory within what the store leaves of it; a log line and the metric kafka_cache_memory_near_limit warn above nine tenths. It does not evict anything, nor does it " +
			"refuse records or clients: a topic that does not fit still ends the process (see operations.md).",
		value: func(c *Config) value { return byteSize{&c.MemoryLimit} }},
	{name: "disk-limit", arg: "BYTES", section: "Storage and memory", def: "0",
		help: "What --data-dir is meant to stay within, such as the sizeLimit of the volume that it is on: bytes, with Ki, Mi, Gi behind. 0: what the file system has for it. " +
			"A log line and the metric kafka_cache_disk_near_limit warn above nine tenths. Nothing is removed or refused there.",
		value: func(c *Config) value { return byteLimit{&c.DiskLimit, 0} }},

	{name: "config", arg: "FILE", section: "Process", noFile: true,
		help:  "YAML file with options.",
		value: func(c *Config) value { return text{&c.File} }},
	{name: "dev", section: "Process", def: "false",
		help: "For development: an in-process broker with the sample model's topics, filled and kept changing. Listens on loopback unless " +
			"told otherwise.",
		value: func(c *Config) value { return boolean{&c.Dev} }},
	{name: "log-level", arg: "LEVEL", section: "Process", def: "info",
		help:  "debug, info, warn or error.",
		value: func(c *Config) value { return choice{&c.LogLevel, []string{"debug", "info", "warn", "error"}, false} }},
	{name: "log-format", arg: "FORMAT", section: "Process", def: "text",
		help:  "text (logfmt) or json, on stderr.",
		value: func(c *Config) value { return choice{&c.LogFormat, []string{"text", "json"}, false} }},
	{name: "shutdown-grace", arg: "DURATION", section: "Process", def: "3s", dev: "0s",
		help: "After SIGTERM or SIGINT: how long clients go on being accepted and served while /readyz already fails, so that what routes to " +
			"this instance can look elsewhere.",
		value: func(c *Config) value { return duration{&c.ShutdownGrace, 0} }},
	{name: "shutdown-timeout", arg: "DURATION", section: "Process", def: "20s", dev: "5s",
		help:  "How long the rest of an orderly end may take after the grace. Keep the sum under the pod's own deadline.",
		value: func(c *Config) value { return duration{&c.ShutdownTimeout, time1ms} }},
}

// later are names that a future version has. They are refused as such, wherever they are given.
var later = map[string]bool{
	"ready-requires": true,
}

// fileOnly are names that only the file has, at its top or under topics.
var fileOnly = map[string]bool{"users": true, "validate": true, "resolver": true, "resolver-yields": true, "dead-letter-topic": true}

func find(name string) *option {
	for i := range options {
		if options[i].name == name {
			return &options[i]
		}
	}
	return nil
}
