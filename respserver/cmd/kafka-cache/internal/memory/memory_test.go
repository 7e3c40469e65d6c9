package memory

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestCgroupLimit(t *testing.T) {
	const v1none = "9223372036854771712\n"
	tests := []struct {
		name  string
		files map[string]string
		want  int64 // 0: none
		fails bool
	}{
		{name: "no proc", files: nil},
		{name: "v2 in a container", files: map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n"}, want: 512 << 20},
		{name: "v2 without a limit", files: map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}},
		{name: "v2, the parent's is less", files: map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "200\n",
			"sys/fs/cgroup/a/memory.max": "100\n"}, want: 100},
		{name: "v2, path not visible", files: map[string]string{"proc/self/cgroup": "0::/kubepods/pod1/c1\n", "sys/fs/cgroup/memory.max": "300\n"}, want: 300},
		{name: "v1", files: map[string]string{"proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/x\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "400\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": v1none}, want: 400},
		{name: "v1, path not visible", files: map[string]string{"proc/self/cgroup": "4:memory:/docker/abc\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "500\n"}, want: 500},
		{name: "v1 without a limit", files: map[string]string{"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": v1none}},
		{name: "hybrid", files: map[string]string{"proc/self/cgroup": "4:memory:/\n0::/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "600\n",
			"sys/fs/cgroup/unified/memory.max": "max\n"}, want: 600},
		{name: "not a number", files: map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "lots\n"}, fails: true},
	}
	for _, tt := range tests {
		root := fstest.MapFS{}
		for name, text := range tt.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		got, ok, err := CgroupLimit(root)
		if got != tt.want || ok != (tt.want > 0) || (err != nil) != tt.fails {
			t.Errorf("%s: %d, %v, %v; want %d", tt.name, got, ok, err, tt.want)
		}
	}
}

func TestRuntimeLimit(t *testing.T) {
	for _, tt := range []struct{ limit, outside, want int64 }{{1000, 0, 950}, {1000, 300, 650}, {1000, 940, 100}, {1000, 5000, 100}} {
		if got := runtimeLimit(tt.limit, tt.outside); got != tt.want {
			t.Errorf("runtimeLimit(%d, %d) = %d, want %d", tt.limit, tt.outside, got, tt.want)
		}
	}
}

func TestGuard(t *testing.T) {
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	outside, resident, set, spare := int64(100), int64(500), int64(4242), int64(0)
	g, err := NewGuard(Config{Limit: 1000, Outside: func() int64 { return outside }, Spare: func(n int64) { spare = n }, Logger: slog.New(slog.NewTextHandler(&log, nil)), Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	g.resident = func() (int64, bool) { return resident, true }
	g.mapped = func() int64 { return 10 }
	g.setLimit = func(n int64) int64 {
		was := set
		if n >= 0 {
			set = n
		}
		return was
	}
	steps := []struct {
		outside, resident, limit int64
		near                     string
		warnings                 int
	}{
		{100, 500, 850, "0", 0}, {300, 901, 650, "1", 1}, {300, 950, 650, "1", 1}, {300, 870, 650, "1", 1}, {300, 800, 650, "0", 1}, {300, 950, 650, "1", 2},
	}
	for i, s := range steps {
		outside, resident = s.outside-10, s.resident
		g.adjust()
		if set != s.limit || spare != s.limit || strings.Count(log.String(), "level=WARN") != s.warnings {
			t.Errorf("step %d: limit %d, log\n%s\nwant limit %d, %d warnings", i, set, log.String(), s.limit, s.warnings)
		}
		want := "# HELP kafka_cache_memory_near_limit 1 while the process's resident memory is above nine tenths of the limit.\n" +
			"# TYPE kafka_cache_memory_near_limit gauge\nkafka_cache_memory_near_limit " + s.near + "\n"
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "kafka_cache_memory_near_limit"); err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}

	set = 4242
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Run(ctx); err != nil || set != 4242 {
		t.Errorf("after Run the limit is %d (%v), want the former one", set, err)
	}

	g.cfg.KeepRuntimeLimit = true
	g.adjust()
	if set != 4242 {
		t.Errorf("the runtime's limit was to be left alone and is %d", set)
	}
}

func TestResident(t *testing.T) {
	n, ok := residentBytes()
	if runtime.GOOS == "linux" && (!ok || n < 1<<20) {
		t.Errorf("resident memory: %d, %v", n, ok)
	}
}
