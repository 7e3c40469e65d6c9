package cache

import (
	"cmp"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/policy"
	"github.com/yolean/kafka-cache/core/store"
)

// Defaults of [Config].
const (
	DefaultKeyEncoding        = "utf-8"
	DefaultValueEncoding      = "json"
	DefaultCommitInterval     = 10 * time.Second
	DefaultCommitIdleInterval = 10 * time.Minute
	DefaultEndsInterval       = 2 * time.Second
	DefaultStaleAfter         = 10 * time.Second
	DefaultSnapshotTime       = store.DefaultViewTime
	DefaultSnapshotKeys       = store.DefaultViewKeys
)

// Config is what a [Cache] is made from. Zero values mean the defaults that are named.
type Config struct {
	// Kafka is how to reach the cluster. Bootstrap is required.
	Kafka kafka.Config
	// Topics are the topics to tail, at least one, each name once.
	Topics []TopicConfig
	// DataDir is a directory that survives restarts; empty: everything in memory.
	DataDir string
	// FS is the file system that DataDir lies on, as Pebble uses one (vfs.FS); nil: the system's. An encrypting one keeps nothing on disk in the clear.
	// What is synced through it has to be durable, and its Lock has to exclude other processes.
	FS store.FS
	// PebbleOptions changes Pebble's options for each store that is opened, in memory too; nil: as they are measured. It decides what Pebble costs and nothing
	// of what it keeps: what it must not change is ErrConfig, with the option's name and the reason. See store.Options.
	PebbleOptions func(*store.PebbleOptions)
	// Identity names this instance and is the consumer group whose offsets are committed.
	Identity string
	// NoCommit switches the committing of group offsets off.
	NoCommit bool
	// CommitInterval is how often changed positions are committed (jittered by a tenth), 10 s.
	CommitInterval time.Duration
	// CommitIdleInterval is how often unchanged ones are, so that Kafka does not expire them, 10 min.
	CommitIdleInterval time.Duration
	// EndsInterval is how often each partition's end is asked for, 2 s.
	EndsInterval time.Duration
	// StaleAfter is the age of the last successful fetch past which a ready topic is [Stale], 10 s.
	StaleAfter time.Duration
	// StartupTimeout ends Run with ErrStartupTimeout where a topic could not be reached by then; 0: retried for ever.
	StartupTimeout time.Duration
	// ServeUnverified serves what an earlier run stored in DataDir where Kafka cannot be reached at the start, as [Stale]: nothing of it has been checked
	// against the log. It may hold what was deleted meanwhile, and be of a topic or a cluster that there is no more; all that is found out once Kafka is
	// reached, as at any other start.
	ServeUnverified bool
	// BlockCacheBytes is Pebble's block cache, shared out over the topics; 0: the store's default. It has no meaning where PebbleOptions sets a Cache.
	BlockCacheBytes int64
	// SnapshotTime is for how long records wait for a [Snapshot], 250 ms: past it they are applied, and the Snapshot is over.
	SnapshotTime time.Duration
	// SnapshotKeys is how many keys of a topic may be looked at through a Snapshot, 65,536.
	SnapshotKeys int
	// Version is the program's, for Status.
	Version string
	// Logger gets one line for each change of state and bounded lines for errors; nil: none.
	Logger *slog.Logger
	// Registerer gets the metrics, from New until Run ends; nil: none are registered. Two Caches in one registry need labels that tell them apart:
	// see prometheus.WrapRegistererWith.
	Registerer prometheus.Registerer

	stoppedEvery time.Duration // 0: stoppedEvery
}

// TopicConfig is what one topic means here.
type TopicConfig struct {
	Name string
	// Writable allows Put, Delete and Submit. The default is read-only.
	Writable bool
	// KeyEncoding and ValueEncoding are names that codec.ByName takes: "utf-8" and "json" by default.
	KeyEncoding, ValueEncoding string
	// KeyCodec and ValueCodec, where they are not nil, are used instead of what is named. Their names belong to the checkpoint's identity, as the
	// encodings' do: with another one the topic is read anew. A name of a built-in encoding is refused (codec.CheckName), and so is a
	// codec that cannot encode keys where it would (codec.CheckKey).
	KeyCodec, ValueCodec codec.Codec
	// Start is where reading begins where there is no checkpoint: "earliest" (the default), "offset:N" in every partition, "timestamp:" and a time
	// as in RFC 3339, or a time before now such as "-24h". It belongs to the checkpoint's identity: another one begins anew.
	Start string
	// DeleteRetention is the topic's delete.retention.ms, for clusters that do not allow it to be read (the ACL operation DescribeConfigs on
	// the topic); it is required there, and not looked at elsewhere.
	DeleteRetention time.Duration
	// RepairSplitKeys writes tombstones to the partitions that hold outdated records of keys, see Topic.Repair. The topic must be Writable.
	RepairSplitKeys bool

	// Resolver turns records into what readers see of them; nil: their own values. A write is of the record, a read of what it resolves to.
	Resolver *policy.Resolver
	// ValidateWrite is checked on a value before it is produced; nil: every value that encodes is.
	ValidateWrite *policy.ValueRule
	// ValidateRead is checked on every record, and says what becomes of those that are not valid, do not decode or do not resolve.
	ValidateRead ReadPolicy
	// ValidateMutation is checked on every change that a record leads to.
	ValidateMutation MutationPolicy
	// DeadLetterTopic gets a copy of every record that is refused while the topic is served; "": none does. Every instance that is configured so writes one.
	DeadLetterTopic string
}

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func legalTopic(name string) bool { return topicName.MatchString(name) && name != "." && name != ".." }

// Validate names the first thing that is wrong; the error wraps ErrConfig.
func (c *Config) Validate() error {
	if err := c.Kafka.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if len(c.Topics) == 0 {
		return fmt.Errorf("%w: no topic is given", ErrConfig)
	}
	seen := map[string]bool{}
	for _, t := range c.Topics {
		if err := validateTopic(&t, seen); err != nil {
			return err
		}
		if _, err := parseStart(t.Start); err != nil {
			return fmt.Errorf("%w: topic %q: %w", ErrConfig, t.Name, err)
		}
		if err := validateMeaning(&t); err != nil {
			return fmt.Errorf("%w: topic %q: %w", ErrConfig, t.Name, err)
		}
		if t.DeleteRetention < 0 {
			return fmt.Errorf("%w: topic %q: DeleteRetention is negative", ErrConfig, t.Name)
		}
		if t.RepairSplitKeys && !t.Writable {
			return fmt.Errorf("%w: topic %q: split keys are repaired by writing, and the topic is read-only", ErrConfig, t.Name)
		}
	}
	for name, d := range map[string]time.Duration{
		"CommitInterval": c.CommitInterval, "CommitIdleInterval": c.CommitIdleInterval, "EndsInterval": c.EndsInterval,
		"StaleAfter": c.StaleAfter, "StartupTimeout": c.StartupTimeout, "SnapshotTime": c.SnapshotTime,
	} {
		if d < 0 {
			return fmt.Errorf("%w: %s is negative", ErrConfig, name)
		}
	}
	if c.SnapshotKeys < 0 {
		return fmt.Errorf("%w: SnapshotKeys is negative", ErrConfig)
	}
	if c.BlockCacheBytes < 0 {
		return fmt.Errorf("%w: BlockCacheBytes is negative", ErrConfig)
	}
	if err := store.CheckOptions(store.Options{Dir: c.DataDir, FS: c.FS, Pebble: c.PebbleOptions}); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// validateTopic checks what reading and writing have in common.
func validateTopic(t *TopicConfig, seen map[string]bool) error {
	if !legalTopic(t.Name) {
		return fmt.Errorf("%w: %q is not a legal topic name (1 to 249 of a-z, A-Z, 0-9, '.', '_', '-')", ErrConfig, t.Name)
	}
	if seen[t.Name] {
		return fmt.Errorf("%w: topic %q is given twice", ErrConfig, t.Name)
	}
	seen[t.Name] = true
	if _, _, err := t.codecs(); err != nil {
		return fmt.Errorf("%w: topic %q: %w", ErrConfig, t.Name, err)
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.CommitInterval = cmp.Or(c.CommitInterval, DefaultCommitInterval)
	c.CommitIdleInterval = cmp.Or(c.CommitIdleInterval, DefaultCommitIdleInterval)
	c.EndsInterval = cmp.Or(c.EndsInterval, DefaultEndsInterval)
	c.StaleAfter = cmp.Or(c.StaleAfter, DefaultStaleAfter)
	c.stoppedEvery = cmp.Or(c.stoppedEvery, stoppedEvery)
	c.SnapshotTime = cmp.Or(c.SnapshotTime, DefaultSnapshotTime)
	c.SnapshotKeys = cmp.Or(c.SnapshotKeys, DefaultSnapshotKeys)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Kafka.Logger == nil {
		c.Kafka.Logger = c.Logger
	}
	return c
}
