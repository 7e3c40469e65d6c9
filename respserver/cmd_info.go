package respserver

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/respserver/resp"
)

// infoSections are in the order in which INFO prints them. Those that are extra are printed only where they are asked for, or with "all".
var infoSections = []struct {
	name  string
	extra bool
	write func(s *Server, c *conn, b *strings.Builder)
}{
	{"Server", false, infoServer}, {"Clients", false, infoClients}, {"Memory", false, infoMemory}, {"Persistence", false, infoPersistence},
	{"Stats", false, infoStats}, {"Replication", false, infoReplication}, {"Modules", false, func(*Server, *conn, *strings.Builder) {}},
	{"CPU", false, infoCPU}, {"Commandstats", true, infoCommandStats}, {"Cluster", false, func(_ *Server, _ *conn, b *strings.Builder) { b.WriteString("cluster_enabled:0\r\n") }},
	{"Kafka", false, infoKafka}, {"Keyspace", false, infoKeyspace},
}

func runInfo(c *conn, args [][]byte) {
	var b strings.Builder
	for _, section := range infoSections {
		wanted := len(args) == 1 && !section.extra
		for _, a := range args[1:] {
			name := strings.ToLower(section.name)
			wanted = wanted || is(a, name) || is(a, "all") || is(a, "everything") || (is(a, "default") && !section.extra)
		}
		if !wanted {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString("# " + section.name + "\r\n")
		section.write(c.srv, c, &b)
	}
	c.out = resp.AppendVerbatim(c.out, c.proto, b.String())
}

func infoServer(s *Server, c *conn, b *strings.Builder) {
	executable, _ := os.Executable() // empty where it is not known
	up := int(s.now().Seconds())
	fmt.Fprintf(b, "redis_version:%s\r\nredis_mode:standalone\r\nkafka_cache_version:%s\r\nos:%s\r\narch_bits:%d\r\nmultiplexing_api:%s\r\ngo_version:%s\r\nprocess_id:%d\r\nrun_id:%s\r\n"+
		"tcp_port:%s\r\nserver_time_usec:%d\r\nuptime_in_seconds:%d\r\nuptime_in_days:%d\r\nexecutable:%s\r\nconfig_file:\r\nidentity:%s\r\n",
		redisVersion, line(s.cfg.Version), runtime.GOOS+" "+runtime.GOARCH, 32<<(^uint(0)>>63), s.driver(), runtime.Version(), os.Getpid(), s.runID, port(c.nc.LocalAddr()),
		time.Now().UnixMicro(), up, up/86400, line(executable), line(s.cfg.Cache.Identity()))
}

// line keeps a value on its line.
func line(s string) string { return strings.NewReplacer("\r", " ", "\n", " ").Replace(s) }

func infoClients(s *Server, _ *conn, b *strings.Builder) {
	tracking, _, _, _ := s.tracking.sizes()
	paused, left := s.paused.left(s.now())
	fmt.Fprintf(b, "connected_clients:%d\r\ncluster_connections:0\r\nmaxclients:%d\r\nblocked_clients:%d\r\ntracking_clients:%d\r\nclients_in_timeout_table:0\r\n"+
		"unauthenticated_clients:%d\r\nrate_limited_clients:%d\r\npaused_actions:%s\r\npaused_timeout_milliseconds:%d\r\n",
		s.connected(), s.cfg.MaxClients, s.stats.blocked.Load(), tracking, s.strangersNow(), s.stats.rateLimited.Load(), paused, left.Milliseconds())
}

func infoMemory(s *Server, _ *conn, b *strings.Builder) {
	m := readMemoryUse()
	fmt.Fprintf(b, "used_memory:%d\r\nused_memory_human:%s\r\nused_memory_rss:%d\r\nused_memory_rss_human:%s\r\nused_memory_peak:%d\r\nused_memory_peak_human:%s\r\ngo_heap_objects_bytes:%d\r\ngo_mapped_bytes:%d\r\n"+
		"clients_buffers_bytes:%d\r\nmaxmemory:0\r\nmaxmemory_human:0B\r\nmaxmemory_policy:noeviction\r\n",
		m.resident, bytesText(int64(m.resident)), m.resident, bytesText(int64(m.resident)), m.peak, bytesText(int64(m.peak)), m.heap, m.mapped, s.buffers.Load())
}

func infoPersistence(s *Server, c *conn, b *strings.Builder) {
	loading := s.loading()
	fmt.Fprintf(b, "loading:%d\r\nasync_loading:%d\r\n", map[bool]int{true: 1}[loading], map[bool]int{true: 1}[!loading && s.refilling()])
	if loading {
		done, total, eta := s.progress()
		fmt.Fprintf(b, "loading_start_time:%d\r\n", s.epoch.Unix())
		if c.mayReadAll() { // they are of all topics
			fmt.Fprintf(b, "loading_total_records:%d\r\nloading_loaded_records:%d\r\n", total, done)
		}
		if total > 0 {
			fmt.Fprintf(b, "loading_loaded_perc:%.2f\r\n", 100*float64(done)/float64(total))
		}
		fmt.Fprintf(b, "loading_eta_seconds:%d\r\n", eta)
	}
	b.WriteString("rdb_changes_since_last_save:0\r\nrdb_bgsave_in_progress:0\r\nrdb_last_bgsave_status:ok\r\naof_enabled:0\r\naof_rewrite_in_progress:0\r\n")
}

// refilling says that a topic is served whose keys are still being read into memory.
func (s *Server) refilling() bool {
	return slices.ContainsFunc(s.topics, func(t *cache.Topic) bool {
		_, all := t.Resident()
		return !all && t.Ready()
	})
}

// progress is how many offsets of all topics' logs have been read, of how many, and the seconds that the rest will take at the rate so far; -1
// where nothing tells yet.
func (s *Server) progress() (done, total, eta int64) {
	eta = -1
	known := true
	for _, t := range s.cfg.Cache.Status().Topics {
		known = known && len(t.Partitions) > 0
		for _, p := range t.Partitions {
			if p.End < 0 || p.Position < 0 {
				known = false
				continue
			}
			done += max(0, p.Position-max(p.LogStart, 0))
			total += max(0, p.End-max(p.LogStart, 0))
		}
	}
	if elapsed := s.now().Seconds(); known && done > 0 && elapsed > 0 {
		eta = int64(float64(max(0, total-done)) / (float64(done) / elapsed))
	}
	return done, total, eta
}

// infoCPU has no children's time: there are none.
func infoCPU(_ *Server, _ *conn, b *strings.Builder) {
	if system, user, ok := cpuSeconds(); ok {
		fmt.Fprintf(b, "used_cpu_sys:%.6f\r\nused_cpu_user:%.6f\r\nused_cpu_sys_children:0.000000\r\nused_cpu_user_children:0.000000\r\n", system, user)
	}
}

func infoCommandStats(s *Server, _ *conn, b *strings.Builder) {
	for _, m := range s.table.all {
		u := m.sinceReset()
		if u.calls == 0 && u.rejected == 0 {
			continue
		}
		per := 0.0
		if u.calls > 0 {
			per = float64(u.nanos) / 1e3 / float64(u.calls)
		}
		fmt.Fprintf(b, "cmdstat_%s:calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d\r\n", m.name, u.calls, u.nanos/1e3, per, u.rejected, u.failed)
	}
}

func infoKafka(s *Server, c *conn, b *strings.Builder) {
	status := s.cfg.Cache.Status()
	fmt.Fprintf(b, "state:%s\r\ntopics:%d\r\n", status.State, len(status.Topics))
	for i := range status.Topics {
		if !c.mayRead(i) {
			continue
		}
		writeTopic(b, &status.Topics[i], s.topics[i])
	}
}

func writeTopic(b *strings.Builder, t *cache.TopicStatus, topic *cache.Topic) {
	var lag int64
	lagSeconds := 0.0
	for _, p := range t.Partitions {
		if p.Lag < 0 || lag < 0 {
			lag = -1
		} else {
			lag += p.Lag
		}
		if p.LagSeconds < 0 || lagSeconds < 0 {
			lagSeconds = -1
		} else {
			lagSeconds = max(lagSeconds, p.LagSeconds)
		}
	}
	fmt.Fprintf(b, "topic%d:name=%s,id=%s,state=%s,serving=%d,writable=%d,keys=%d,partitions=%d,lag=%d,lag_seconds=%.3f,key_encoding=%s,value_encoding=%s,"+
		"start=%s,split_keys=%d,split_keys_deleted=%d,comparable=%d,resident=%d\r\n",
		t.Database, t.Name, t.ID, t.State, map[bool]int{true: 1}[t.Serving], map[bool]int{true: 1}[t.Writable], t.Keys, len(t.Partitions), lag, lagSeconds,
		topic.KeyEncoding(), topic.ValueEncoding(), t.Start, t.SplitKeys, t.SplitKeysDeleted, map[bool]int{true: 1}[t.Comparable], map[bool]int{true: 1}[t.Resident])
	if t.Reason != "" {
		fmt.Fprintf(b, "topic%d_reason:%s\r\n", t.Database, line(t.Reason))
	}
	if r := t.Rebuild; r != nil {
		fmt.Fprintf(b, "topic%d_rebuild:reason=%s,since=%d,verifying=%d,serving=%d\r\n", t.Database, line(r.Reason), r.Since.Unix(), map[bool]int{true: 1}[r.Verifying],
			map[bool]int{true: 1}[r.Serving])
	}
	for _, p := range t.Partitions {
		fmt.Fprintf(b, "topic%d_partition%d:position=%d,end=%d,high_watermark=%d,log_start=%d,lag=%d,lag_seconds=%.3f,leader_epoch=%d,fetch_age_seconds=%.3f,"+
			"lag_high_watermark=%d,blocked_seconds=%.3f\r\n",
			t.Database, p.Partition, p.Position, p.End, p.HighWatermark, p.LogStart, p.Lag, p.LagSeconds, p.LeaderEpoch, p.FetchAgeSeconds,
			p.LagHighWatermark, p.BlockedSeconds)
	}
}

// infoKeyspace lists databases with keys, as Redis does: while it loads, those that are loaded.
func infoKeyspace(s *Server, c *conn, b *strings.Builder) {
	for i, t := range s.topics {
		if n, _ := t.Resident(); n > 0 && c.mayRead(i) {
			fmt.Fprintf(b, "db%d:keys=%d,expires=0,avg_ttl=0\r\n", i, n)
		}
	}
}
