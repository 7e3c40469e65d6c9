package config

import (
	"errors"
	"time"
)

// Config is the effective configuration. [Load] makes it; it is not changed afterwards.
type Config struct {
	// File is the path of the YAML file, empty without one.
	File string
	// Dev asks for the in-process broker with the sample model.
	Dev bool

	KafkaBootstrap        []string // host:port; nil with Dev
	Topics                []Topic  // the n-th is Redis database n
	Identity              string   // the consumer group; never empty
	CommitOffsets         bool
	StartupTimeout        time.Duration // 0: for ever
	MetadataRefresh       time.Duration
	KafkaTLS              bool
	KafkaTLSCA            string // paths of PEM files
	KafkaTLSCert          string
	KafkaTLSKey           string
	KafkaSASLMechanism    string // empty: none
	KafkaSASLUser         string
	KafkaSASLPasswordFile string
	KafkaSASLTokenFile    string            // OAUTHBEARER: this one …
	KafkaOAuth            OAuth             // … or this one
	KafkaSASLExtensions   map[string]string // of the token; nil: none

	// What a topic takes that does not say.
	ReadOnly        bool
	KeyEncoding     string
	ValueEncoding   string
	Start           string
	DeleteRetention time.Duration // 0: as Kafka says
	RepairSplitKeys bool          // of a topic that is writable

	SchemaRegistry             []string // URLs; nil: none
	SchemaRegistryUser         string
	SchemaRegistryPasswordFile string
	SchemaRegistryCA           string // path of a PEM file

	WriteReply   string // Applied or Acknowledged
	ApplyTimeout time.Duration

	RESPAddr               string // host:port
	RESPPasswordFile       string // empty: no password
	ProtectedMode          bool
	RESPTLSCert            string // empty: no TLS
	RESPTLSKey             string
	RESPTLSClientCA        string
	RESPTLSMinVersion      string        // 1.2 or 1.3
	RESPTLSAuthClientsUser string        // off or CN
	RESPReloadInterval     time.Duration // 0: never
	RESPDriver             string        // Goroutines or Epoll
	RESPAuthTimeout        time.Duration
	RESPWriteTimeout       time.Duration
	RESPOutputLimit        Bytes
	RESPBufferLimit        Bytes
	RESPQueryLimit         Bytes
	Users                  []User // nil: default alone
	RESPMaxClients         int
	RESPMaxUnauthenticated int           // 0: half of RESPMaxClients
	RESPRateLimit          int           // commands a second and connection; 0: any number
	RESPIdleTimeout        time.Duration // 0: none
	RESPAllowFlush         bool

	Peers             []string // host:port or dns:name:port; nil: none
	PeerUser          string
	PeerPasswordFile  string // empty: no AUTH
	PeerTLS           bool
	PeerTLSCA         string // paths of PEM files
	PeerTLSCert       string
	PeerTLSKey        string
	PeerTLSServerName string // empty: the address's

	AdminAddr         string // host:port
	AdminTokenFile    string // empty: no token
	AdminTLSCert      string // empty: no TLS
	AdminTLSKey       string
	AdminTLSClientCA  string
	ReadyMaxStaleness time.Duration // 0: none

	DataDir string // empty: in memory

	ServeUnverified bool  // what DataDir has, where Kafka cannot be reached at the start
	MemoryLimit     Bytes // AutoBytes: the cgroup's; 0: none
	DiskLimit       Bytes // 0: what the file system has

	LogLevel        string
	LogFormat       string
	ShutdownGrace   time.Duration
	ShutdownTimeout time.Duration

	topicNames []string
	sources    map[string]string // option → where its value comes from; no entry: the default
}

// Values of WriteReply.
const (
	Applied      = "applied"
	Acknowledged = "acknowledged"
)

// Values of RESPDriver.
const (
	Goroutines = "goroutines"
	Epoll      = "epoll"
)

// OAuth is where tokens for Kafka come from, by OAuth 2.0's client credentials grant (RFC 6749, section 4.4).
type OAuth struct {
	TokenURL         string // http or https; empty: no tokens come from there
	ClientID         string
	ClientSecretFile string
	Scope            []string
	CA               string // path of a PEM file; empty: the system's
}

// Topic is one topic with its own settings, those of the whole where it has none.
type Topic struct {
	Name            string
	ReadOnly        bool
	KeyEncoding     string
	ValueEncoding   string
	Start           string        // as cache.TopicConfig has it
	DeleteRetention time.Duration // 0: as Kafka says
	RepairSplitKeys bool          // never with ReadOnly
	Policies
}

// ErrHelp is Load's error where the arguments ask for help.
var ErrHelp = errors.New("help was asked for")

const envPrefix = "KCACHE_"
