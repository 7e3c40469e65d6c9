package resp_test

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// otherArguments are commands whose arguments are not Redis 7.0's, and why.
var otherArguments = map[string]string{
	"set":                     "options are refused",
	"getex":                   "options are refused",
	"client|kill":             "of 7.4, with MAXAGE",
	"command|getkeys":         "7.0 has none",
	"command|getkeysandflags": "7.0 has none",
}

// TestDocsLikeRedis: COMMAND DOCS has the arguments that Redis's has, of every command that both offer, so that redis-cli hints at the same.
func TestDocsLikeRedis(t *testing.T) {
	f := start(t, nil)
	theirs, ours := describedBy(t, startRedis(t), "DOCS"), describedBy(t, f.addr, "DOCS")
	compared := 0
	var walk func(theirs, ours map[string]any)
	walk = func(theirs, ours map[string]any) {
		for name, their := range theirs {
			our, ok := ours[name].(map[string]any)
			if !ok {
				continue
			}
			their := their.(map[string]any)
			compared++
			for _, k := range []string{"group", "since"} {
				if their[k] != our[k] && !strings.HasSuffix(name, "|help") {
					t.Errorf("%s: %s is %v, and %v here", name, k, their[k], our[k])
				}
			}
			if want, got := plain(their["arguments"]), plain(our["arguments"]); want != got && otherArguments[name] == "" {
				t.Errorf("%s:\n theirs %s\n ours   %s", name, want, got)
			}
			if subs, ok := their["subcommands"].(map[string]any); ok {
				mine, _ := our["subcommands"].(map[string]any)
				walk(subs, mine)
			}
		}
	}
	walk(theirs, ours)
	if compared < 80 {
		t.Errorf("only %d commands were compared", compared)
	}
}

// plain writes arguments without what 7.0 or 7.4 has alone.
func plain(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var all []string
		for k, x := range v {
			switch k {
			case "since", "deprecated_since", "display_text", "summary":
			default:
				all = append(all, k+"="+plain(x))
			}
		}
		slices.Sort(all)
		return "{" + strings.Join(all, " ") + "}"
	case []any:
		all := make([]string, len(v))
		for i, x := range v {
			all[i] = plain(x)
		}
		return "[" + strings.Join(all, " ") + "]"
	case nil:
		return "none"
	}
	return fmt.Sprint(v)
}

// describedBy is what COMMAND tells, as maps of strings.
func describedBy(t *testing.T, addr, what string) map[string]any {
	t.Helper()
	r := redis.NewClient(&redis.Options{Addr: addr, Protocol: 3})
	defer func() { _ = r.Close() }()
	v, err := r.Do(context.Background(), "COMMAND", what).Result()
	if err != nil {
		t.Fatal(err)
	}
	all, ok := textKeys(v).(map[string]any)
	if !ok {
		t.Fatalf("COMMAND %s is %T", what, v)
	}
	return all
}

func textKeys(v any) any {
	switch v := v.(type) {
	case map[any]any:
		all := map[string]any{}
		for k, x := range v {
			all[fmt.Sprint(k)] = textKeys(x)
		}
		return all
	case []any:
		for i := range v {
			v[i] = textKeys(v[i])
		}
	}
	return v
}

// TestCommandInfoLikeRedis: arity, flags, places of keys, categories and what becomes of keys, of every command that both offer.
func TestCommandInfoLikeRedis(t *testing.T) {
	f := start(t, nil)
	theirs, ours := dial(t, startRedis(t)), f.dial()
	names, err := f.goRedis(nil).Do(context.Background(), "COMMAND", "LIST").StringSlice()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, name := range names {
		want, got := theirs.call("command", "info", name), ours.call("command", "info", name)
		if want == "*1\r\n$-1\r\n" {
			continue
		}
		compared++
		w, g := described(t, want), described(t, got)
		for _, c := range []struct {
			what      string
			want, got any
		}{{"name", w[0], g[0]}, {"arity", w[1], g[1]}, {"keys", w[3:6], g[3:6]}, {"flags", infoFlags(w[2]), infoFlags(g[2])}, {"categories", sorted(w[6]), sorted(g[6])}} {
			if want, got := fmt.Sprint(c.want), fmt.Sprint(c.got); want != got && otherInfo[name+" "+c.what] == "" {
				t.Errorf("%s: %s %s, here %s", name, c.what, want, got)
			}
		}
	}
	if compared < 80 {
		t.Errorf("only %d commands were compared", compared)
	}
}

// described are the ten elements of one command's COMMAND INFO.
func described(t *testing.T, reply string) []any {
	t.Helper()
	v, rest := value(reply)
	all, ok := v.([]any)
	if !ok || rest != "" || len(all) != 1 {
		t.Fatalf("%q", reply)
	}
	return all[0].([]any)
}

// value reads a reply of RESP2.
func value(s string) (v any, rest string) {
	line, rest, _ := strings.Cut(s, "\r\n")
	n, _ := strconv.Atoi(line[1:])
	switch line[0] {
	case '*':
		all := make([]any, max(n, 0))
		for i := range all {
			all[i], rest = value(rest)
		}
		return all, rest
	case '$':
		return rest[:n], rest[n+2:]
	}
	return line[1:], rest
}

func sorted(v any) []string {
	var all []string
	for _, x := range v.([]any) {
		all = append(all, fmt.Sprint(x))
	}
	slices.Sort(all)
	return all
}

// infoFlags are the flags that say something here: of loading and stale, which depend on whether there is data, and of what is for monitors, scripts and
// slow logs nothing is said.
func infoFlags(v any) (all []string) {
	for _, x := range sorted(v) {
		switch x {
		case "loading", "stale", "skip_monitor", "skip_slowlog", "noscript", "denyoom", "no_async_loading", "allow_busy", "sentinel", "no_multi", "pubsub", "movablekeys":
		default:
			all = append(all, x)
		}
	}
	return all
}

// otherInfo is what is not as in Redis 7.0, and why.
var otherInfo = map[string]string{
	"getex flags": onlyReads, "getex categories": onlyReads, "wait flags": "7.4's", "wait categories": "7.4's",
	"memory|purge flags": forAdmins, "memory|purge categories": forAdmins, "acl|genpass flags": forAdmins, "acl|genpass categories": forAdmins,
	"pubsub|channels flags": forAdmins, "pubsub|channels categories": forAdmins, "pubsub|numsub flags": forAdmins, "pubsub|numsub categories": forAdmins,
	"pubsub|numpat flags": forAdmins, "pubsub|numpat categories": forAdmins, "pubsub|help categories": "in the container's",
}

const (
	onlyReads = "without options, which are refused, it only reads"
	forAdmins = "it is for administrators here"
)

// TestRedisCLIHelp: the redis-cli that is installed makes its help, and so its hints, of COMMAND DOCS.
func TestRedisCLIHelp(t *testing.T) {
	f := start(t, nil)
	path, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(f.addr, ":")
	if _, err := strconv.Atoi(port); err != nil {
		t.Fatal(f.addr)
	}
	for command, want := range map[string]string{
		"scan": "cursor [MATCH pattern] [COUNT count] [TYPE type]", "client pause": "timeout [WRITE|ALL]", "mget": "key [key ...]",
		"kafka.set": "key value [HEADER header-name header-value [HEADER header-name header-value ...]]", "set": "key value [KEEPTTL]",
	} {
		cmd := exec.Command(path, "-h", host, "-p", port)
		cmd.Stdin = strings.NewReader("help " + command + "\n")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), " \x1b[90m"+want+"\x1b") {
			t.Errorf("help %s: %q, %v; want %q", command, out, err, want)
		}
	}
}
