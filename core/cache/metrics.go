package cache

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/yolean/kafka-cache/core/store"
)

// metrics are those of one Cache. What the status knows is read when it is scraped, so that both always say the same.
type metrics struct {
	cache        *Cache
	applied      *prometheus.CounterVec
	keyless      *prometheus.CounterVec
	invalid      *prometheus.CounterVec
	rebuilds     *prometheus.CounterVec
	fetchErrors  *prometheus.CounterVec
	throttled    *prometheus.CounterVec
	commitErrors prometheus.Counter
	transactions *prometheus.CounterVec

	retentionRemoved, verifiedRemoved, repaired, deadLetters, writes *prometheus.CounterVec
}

// topicMetrics are one topic's.
type topicMetrics struct {
	applied, keyless, fetchErrors, throttled prometheus.Counter

	retentionRemoved, verifiedRemoved, repaired prometheus.Counter

	invalid, rebuilds, deadLetters *prometheus.CounterVec
	writes                         map[string]prometheus.Counter // by outcome
	complaints                     *limiter
}

func newMetrics(c *Cache) *metrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "kafka_cache", Name: name, Help: help}, labels)
	}
	m := &metrics{
		cache:            c,
		applied:          vec("applied_records_total", "Records that were read from the log and whose effect, if any, is in the store.", "topic"),
		keyless:          vec("keyless_records_total", "Records that were passed over because their key is null or empty.", "topic"),
		invalid:          vec("invalid_records_total", "Records that were refused, by rule; decode: a key or value that its encoding does not decode; write: not produced.", "topic", "rule"),
		rebuilds:         vec("rebuilds_total", "Times that the store was made anew from the log, or (expired) verified against it, by reason.", "topic", "reason"),
		retentionRemoved: vec("retention_removed_total", "Keys that were removed or changed since the log's start moved past their record.", "topic"),
		verifiedRemoved:  vec("verified_removed_total", "Keys that a verification against the log removed or changed.", "topic"),
		repaired:         vec("repaired_split_keys_total", "Keys whose outdated records in other partitions were overwritten by tombstones.", "topic"),
		deadLetters:      vec("dead_letters_total", "Copies of refused records to the dead-letter topic; failed: those that Kafka did not take, and copies that came back.", "topic", "result"),
		writes:           vec("writes_total", "Writes by what was told of them: applied here; acknowledged (in the log); pending (in the log, and not applied here in time); unknown (perhaps in the log); refused (in the log, and by a rule of the topic when it was read); failed (not in it).", "topic", "outcome"),
		fetchErrors:      vec("fetch_errors_total", "Requests to Kafka for records, metadata or ends that did not succeed.", "topic"),
		throttled:        vec("fetch_throttled_seconds_total", "Time for which brokers' quotas asked not to be read from.", "topic"),
		commitErrors: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "kafka_cache", Name: "commit_errors_total",
			Help: "Commits of group offsets that did not succeed."}),
		transactions: vec("transactions_total", "Kafka transactions of writes that belong together, by outcome: committed, aborted, or unknown.", "outcome"),
	}
	for _, outcome := range []string{"committed", "aborted", "unknown"} {
		m.transactions.WithLabelValues(outcome)
	}
	return m
}

func (m *metrics) topic(name string) *topicMetrics {
	by := prometheus.Labels{"topic": name}
	t := &topicMetrics{
		applied: m.applied.With(by), keyless: m.keyless.With(by), fetchErrors: m.fetchErrors.With(by),
		throttled: m.throttled.With(by),
		invalid:   m.invalid.MustCurryWith(by), rebuilds: m.rebuilds.MustCurryWith(by), deadLetters: m.deadLetters.MustCurryWith(by),
		retentionRemoved: m.retentionRemoved.With(by), verifiedRemoved: m.verifiedRemoved.With(by), repaired: m.repaired.With(by),
		complaints: &limiter{every: time.Minute, now: time.Now},
	}
	for _, rule := range ruleNames { // there from the start, so that a rate over it is
		t.invalid.WithLabelValues(rule)
	}
	for _, result := range []string{"written", "failed"} {
		t.deadLetters.WithLabelValues(result)
	}
	t.writes = make(map[string]prometheus.Counter, len(writeOutcomes))
	for _, outcome := range writeOutcomes {
		t.writes[outcome] = m.writes.WithLabelValues(name, outcome)
	}
	for _, reason := range rebuildReasons {
		t.rebuilds.WithLabelValues(reason)
	}
	return t
}

var rebuildReasons = []string{rebuildExpired, rebuildLogStart, rebuildTruncated, rebuildRecreated, rebuildCorrupt, store.ReasonRules, store.ReasonFormat}

// rebuildsByReason are those that there were.
func (t *topicMetrics) rebuildsByReason() map[string]uint64 {
	by := map[string]uint64{}
	for _, reason := range rebuildReasons {
		if n := counted(t.rebuilds.WithLabelValues(reason)); n > 0 {
			by[reason] = n
		}
	}
	return by
}

// writesByOutcome are those that there were.
func (t *topicMetrics) writesByOutcome() map[string]uint64 {
	by := map[string]uint64{}
	for outcome, c := range t.writes {
		if n := counted(c); n > 0 {
			by[outcome] = n
		}
	}
	return by
}

// totals are the counters' values, for the status.
func (t *topicMetrics) totals() (applied, keyless uint64, invalid map[string]uint64) {
	invalid = map[string]uint64{}
	for _, rule := range ruleNames {
		invalid[rule] = counted(t.invalid.WithLabelValues(rule))
	}
	return counted(t.applied), counted(t.keyless), invalid
}

func counted(c prometheus.Metric) uint64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		return 0
	}
	return uint64(m.GetCounter().GetValue())
}

// collectors are all that a Cache registers.
func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.applied, m.keyless, m.invalid, m.rebuilds, m.fetchErrors, m.throttled, m.commitErrors, m.transactions,
		m.retentionRemoved, m.verifiedRemoved, m.repaired, m.deadLetters, m.writes, &collector{cache: m.cache}}
}

// register registers all of them, or none.
func register(r prometheus.Registerer, all []prometheus.Collector) error {
	for i, c := range all {
		if err := r.Register(c); err != nil {
			unregister(r, all[:i])
			return err
		}
	}
	return nil
}

// unregister lets another take their place in the same registry.
func unregister(r prometheus.Registerer, all []prometheus.Collector) {
	for _, c := range all {
		r.Unregister(c)
	}
}

// collector reads the status and the stores' numbers at each scrape.
type collector struct{ cache *Cache }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("kafka_cache_"+name, help, labels, nil)
}

var (
	descLag        = desc("consumer_lag_records", "The stable end as last asked for, minus the position.", "topic", "partition")
	descLagSeconds = desc("consumer_lag_seconds", "Time since the position last covered a freshly asked high watermark; 0 while it covers the newest.", "topic", "partition")
	descAge        = desc("age_seconds", "Time since this instance knew that it had everything that the log had, which KAFKA.FRESH goes by.", "topic", "partition")
	descLagHigh    = desc("consumer_lag_high_watermark_records", "The high watermark as last asked for, minus the position: above the lag while a transaction is open.", "topic", "partition")
	descBlocked    = desc("blocked_by_transaction_seconds", "Time for which an open transaction has held back what is above the position; 0 while none does.", "topic", "partition")
	descSplit      = desc("split_keys", "Keys with records in several partitions, by what the newest of them is.", "topic", "newest")
	descHeld       = desc("held_over_keys", "Keys whose value is held over a newer record that a rule refused.", "topic")
	descTombstones = desc("remembered_tombstones", "Tombstones that are kept until every partition has been at its end half a minute later.", "topic")
	descAside      = desc("rebuild_in_progress", "1 while the log is read into a new generation or verified, by reason.", "topic", "reason")
	descPosition   = desc("position_offset", "The next offset to read.", "topic", "partition")
	descEnd        = desc("end_offset", "The stable end (read_committed) as last asked for.", "topic", "partition")
	descHigh       = desc("high_watermark_offset", "The high watermark as last asked for.", "topic", "partition")
	descLogStart   = desc("log_start_offset", "The log's first offset as last asked for.", "topic", "partition")
	descFetchAge   = desc("last_fetch_age_seconds", "Time since the last successful fetch.", "topic", "partition")
	descReady      = desc("ready", "1 while reads of the topic are answered.", "topic")
	descDurable    = desc("durable", "1 while what was applied survives a crash, but for the last seconds; not while a first load is being persisted, nor without a data directory.", "topic")
	descState      = desc("state", "1 for the state that the topic is in.", "topic", "state")
	descKeys       = desc("keys", "Keys that have a value. Not there for the seconds after a restart in which the topic is served while they are being read into memory.", "topic")
	descInfo       = desc("instance_info", "1; who this instance is.", "identity", "version")
	descResident   = desc("resident_bytes", "Bytes of the resident index outside the Go heap: its tables, and in its chunks what is live and what waits to be collected.", "topic", "part")

	descChecksumPoint = desc("checksum_point", "A number for where kafka_cache_checksum is from: topic, rules, log start and offset, which is the position (every=1) or the last multiple of every that was passed.", "topic", "partition", "every")
	descChecksum      = desc("checksum", "A number for what is held there, and for where: it is the same in instances that hold the same, wherever kafka_cache_checksum_point is.", "topic", "partition", "every")

	descPebbleDisk     = desc("pebble_disk_bytes", "Bytes of Pebble's files on its file system.", "topic")
	descPebbleMemtable = desc("pebble_memtable_bytes", "Bytes of Pebble's memtables.", "topic")
	descPebbleCache    = desc("pebble_block_cache_bytes", "Bytes in Pebble's block cache.", "topic")
	descPebbleHits     = desc("pebble_block_cache_hits_total", "Blocks found in Pebble's block cache.", "topic")
	descPebbleMisses   = desc("pebble_block_cache_misses_total", "Blocks not found in Pebble's block cache.", "topic")
	descPebbleFlushes  = desc("pebble_flushes_total", "Flushes of memtables.", "topic")
	descPebbleCompact  = desc("pebble_compactions_total", "Compactions.", "topic")
	descPebbleDebt     = desc("pebble_compaction_debt_bytes", "Estimated bytes that are still to be compacted.", "topic")
	descPebbleAmp      = desc("pebble_read_amplification", "Levels and level 0 sublevels that a read looks at.", "topic")
)

// Describe is prometheus.Collector's.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descLag, descLagSeconds, descAge, descPosition, descEnd, descHigh, descLogStart, descFetchAge, descReady, descDurable, descState, descKeys, descInfo, descResident,
		descLagHigh, descBlocked, descSplit, descHeld, descTombstones, descAside, descChecksumPoint, descChecksum,
		descPebbleDisk, descPebbleMemtable, descPebbleCache, descPebbleHits, descPebbleMisses, descPebbleFlushes, descPebbleCompact, descPebbleDebt, descPebbleAmp,
	} {
		ch <- d
	}
}

// Collect is prometheus.Collector's. Numbers that are not known yet are left out rather than said to be 0.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := gaugeFunc(func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	})
	status := c.cache.Status()
	gauge(descInfo, 1, status.Identity, status.Version)
	for i, t := range status.Topics {
		gauge(descReady, truth(t.Serving), t.Name)
		gauge(descDurable, truth(t.Durable), t.Name)
		if t.Resident || !t.Serving { // otherwise the number of what is served is not known yet
			gauge(descKeys, float64(t.Keys), t.Name)
		}
		for s := range stateNames {
			gauge(descState, truth(t.State == State(s)), t.Name, stateNames[s])
		}
		for _, reason := range rebuildReasons {
			gauge(descAside, truth(t.Rebuild != nil && t.Rebuild.Reason == reason), t.Name, reason)
		}
		gauge(descSplit, float64(t.SplitKeys-t.SplitKeysDeleted), t.Name, "value")
		gauge(descSplit, float64(t.SplitKeysDeleted), t.Name, "tombstone")
		gauge(descHeld, float64(t.HeldOver), t.Name)
		for _, p := range t.Partitions {
			c.partition(gauge, t.Name, p)
		}
		c.store(ch, gauge, c.cache.topics[i])
		c.checksums(gauge, c.cache.topics[i])
	}
}

type gaugeFunc func(d *prometheus.Desc, v float64, labels ...string)

func (c *collector) partition(gauge gaugeFunc, topic string, p PartitionStatus) {
	id := strconv.Itoa(int(p.Partition))
	if p.Position >= 0 {
		gauge(descPosition, float64(p.Position), topic, id)
	}
	if p.End >= 0 {
		gauge(descEnd, float64(p.End), topic, id)
		gauge(descHigh, float64(p.HighWatermark), topic, id)
		gauge(descLogStart, float64(p.LogStart), topic, id)
		gauge(descLag, float64(p.Lag), topic, id)
		gauge(descLagHigh, float64(p.LagHighWatermark), topic, id)
		gauge(descBlocked, p.BlockedSeconds, topic, id)
	}
	if p.LagSeconds >= 0 {
		gauge(descLagSeconds, p.LagSeconds, topic, id)
	}
	if p.AgeSeconds >= 0 {
		gauge(descAge, p.AgeSeconds, topic, id)
	}
	if p.FetchAgeSeconds >= 0 {
		gauge(descFetchAge, p.FetchAgeSeconds, topic, id)
	}
}

func (c *collector) store(ch chan<- prometheus.Metric, gauge gaugeFunc, t *Topic) {
	st := t.store.Load()
	if st == nil {
		return
	}
	stats := st.Stats()
	if v := t.reads.Load(); v != nil && v != st {
		view := v.Stats()
		stats.TableBytes += view.TableBytes
		stats.LiveBytes += view.LiveBytes
		stats.GarbageBytes += view.GarbageBytes
	}
	gauge(descTombstones, float64(stats.Tombstones), t.name)
	gauge(descResident, float64(stats.TableBytes), t.name, "table")
	gauge(descResident, float64(stats.LiveBytes), t.name, "live")
	gauge(descResident, float64(stats.GarbageBytes), t.name, "garbage")
	m := stats.Pebble
	if m == nil {
		return
	}
	counter := func(d *prometheus.Desc, v int64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), t.name)
	}
	gauge(descPebbleDisk, float64(m.DiskSpaceUsage()), t.name)
	gauge(descPebbleMemtable, float64(m.MemTable.Size), t.name)
	gauge(descPebbleCache, float64(m.BlockCache.Size), t.name)
	counter(descPebbleHits, m.BlockCache.Hits)
	counter(descPebbleMisses, m.BlockCache.Misses)
	counter(descPebbleFlushes, m.Flush.Count)
	counter(descPebbleCompact, m.Compact.Count)
	gauge(descPebbleDebt, float64(m.Compact.EstimatedDebt), t.name)
	gauge(descPebbleAmp, float64(m.ReadAmp()), t.name)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// limiter lets through one message of a kind in a while and counts the others.
type limiter struct {
	every time.Duration
	now   func() time.Time
	mu    sync.Mutex
	last  map[int32]limited
}

type limited struct {
	at         time.Time
	suppressed int
}

// allow reports whether a message of this kind may be logged now, and how many were not since the last.
func (l *limiter) allow(kind int32) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = map[int32]limited{}
	}
	now, was := l.now(), l.last[kind]
	if !was.at.IsZero() && now.Sub(was.at) < l.every {
		was.suppressed++
		l.last[kind] = was
		return 0, false
	}
	l.last[kind] = limited{at: now}
	return was.suppressed, true
}
