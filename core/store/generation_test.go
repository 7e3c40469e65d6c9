package store

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yolean/kafka-cache/core/position"
)

var identityA = Identity{ClusterID: "cluster-a", Topic: "orders.v1", TopicID: position.TopicID{1}, Rules: "r1"}

func mustChoose(t *testing.T, dir string, id Identity) Generation {
	t.Helper()
	g, err := ChooseGeneration(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func mustPrepare(t *testing.T, dir string, id Identity) Generation {
	t.Helper()
	g := mustChoose(t, dir, id)
	if err := g.Prepare(); err != nil {
		t.Fatal(err)
	}
	return g
}

// fill puts one entry into a generation.
func fill(t *testing.T, g Generation) {
	t.Helper()
	s := mustOpen(t, Options{Dir: g.Dir})
	mustApply(t, s, &Batch{Mutations: []Mutation{{Key: []byte("k"), Value: []byte(g.Dir)}}, Next: 1})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// tree is every path below dir with its contents.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			m[path] = "directory"
			return err
		}
		b, err := os.ReadFile(path)
		m[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestGenerationIsResumed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there")
	g := mustChoose(t, dir, identityA)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("choosing made %s: %v", dir, err)
	}
	if want := filepath.Join(dir, "v1", "orders.v1", "000001"); g.Reason != ReasonNew || g.Dir != want || len(g.Replaces) > 0 {
		t.Fatalf("%+v, want %s", g, want)
	}
	if err := g.Prepare(); err != nil {
		t.Fatal(err)
	}
	fill(t, g)
	before := tree(t, dir)
	again := mustPrepare(t, dir, identityA)
	if again.Reason != "" || again.Dir != g.Dir || len(again.Replaces) > 0 {
		t.Fatalf("%+v", again)
	}
	if after := tree(t, dir); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Fatal("resuming changed the directory")
	}
	s := mustOpen(t, Options{Dir: again.Dir})
	if v, ok, err := s.Get(nil, []byte("k")); string(v) != g.Dir || !ok || err != nil {
		t.Fatalf("%q, %v, %v", v, ok, err)
	}
}

func TestOtherTopicsAreApart(t *testing.T) {
	dir := t.TempDir()
	g := mustPrepare(t, dir, identityA)
	other := identityA
	other.Topic, other.TopicID = "orders", position.TopicID{2}
	h := mustPrepare(t, dir, other)
	if h.Reason != ReasonNew || len(h.Replaces) > 0 || h.Dir == g.Dir {
		t.Errorf("%+v beside %+v", h, g)
	}
}

func TestReplacedGenerations(t *testing.T) {
	recreated, rules := identityA, identityA
	recreated.TopicID = position.TopicID{9}
	rules.Rules = "r2"
	for reason, id := range map[string]Identity{ReasonRecreated: recreated, ReasonRules: rules} {
		dir := t.TempDir()
		old := mustPrepare(t, dir, identityA)
		fill(t, old)
		g := mustChoose(t, dir, id)
		if g.Reason != reason || g.Dir == old.Dir || len(g.Replaces) != 1 || g.Replaces[0] != old.Dir {
			t.Fatalf("%s: %+v", reason, g)
		}
		if err := g.Prepare(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(old.Dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %s is still there: %v", reason, old.Dir, err)
		}
		if next := mustChoose(t, dir, id); next.Reason != "" || next.Dir != g.Dir {
			t.Errorf("%s: %+v after %+v", reason, next, g)
		}
	}
}

func TestOtherClusterIsNotTouched(t *testing.T) {
	dir := t.TempDir()
	g := mustPrepare(t, dir, identityA)
	fill(t, g)
	before := tree(t, dir)
	other := identityA
	other.ClusterID = "cluster-b"
	for _, topic := range []string{identityA.Topic, "another"} {
		other.Topic = topic
		_, err := ChooseGeneration(dir, other)
		if !errors.Is(err, ErrOtherCluster) {
			t.Fatalf("topic %s: %v", topic, err)
		}
		for _, want := range []string{"cluster-a", "cluster-b", g.Dir} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not name %s", err, want)
			}
		}
	}
	if fmt.Sprint(tree(t, dir)) != fmt.Sprint(before) {
		t.Error("the directory was changed")
	}
}

// TestForeignDirectories: what this version does not know is left alone, and never resumed.
func TestForeignDirectories(t *testing.T) {
	for name, make := range map[string]func(dir string) error{
		"newer format": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, generationFile), fmt.Appendf(nil, `{"format":%d,"clusterId":"elsewhere","new":true}`, generationFormat+1), 0o644)
		},
		"no format": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, generationFile), []byte(`{}`), 0o644)
		},
		"unreadable, with data": func(dir string) error {
			return errors.Join(os.Mkdir(filepath.Join(dir, engineDir), 0o755), os.WriteFile(filepath.Join(dir, generationFile), []byte(`{"form`), 0o644))
		},
		"data alone": func(dir string) error { return os.Mkdir(filepath.Join(dir, engineDir), 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			foreign := filepath.Join(dir, "v1", identityA.Topic, "000007")
			odd := filepath.Join(dir, "v1", identityA.Topic, "mine")
			if err := errors.Join(os.MkdirAll(foreign, 0o755), os.MkdirAll(odd, 0o755), make(foreign)); err != nil {
				t.Fatal(err)
			}
			before := tree(t, foreign)
			g := mustPrepare(t, dir, identityA)
			if g.Reason != ReasonFormat || filepath.Base(g.Dir) != "000008" {
				t.Fatalf("%+v", g)
			}
			fill(t, g)
			if again := mustPrepare(t, dir, identityA); again.Dir != g.Dir || again.Reason != "" {
				t.Errorf("%+v", again)
			}
			if fmt.Sprint(tree(t, foreign)) != fmt.Sprint(before) {
				t.Error("a foreign directory was changed")
			}
			if _, err := os.Stat(odd); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCrashedPrepare: whatever a crash leaves of Prepare, the next one completes it.
func TestCrashedPrepare(t *testing.T) {
	for name, crash := range map[string]func(t *testing.T, dir string){
		"empty directory": func(t *testing.T, dir string) {
			if err := os.MkdirAll(filepath.Join(dir, "v1", identityA.Topic, "000001"), 0o755); err != nil {
				t.Fatal(err)
			}
		},
		"temporary file": func(t *testing.T, dir string) {
			d := filepath.Join(dir, "v1", identityA.Topic, "000001")
			if err := errors.Join(os.MkdirAll(d, 0o755), os.WriteFile(filepath.Join(d, generationFile+temporarySuffix), []byte(`{"f`), 0o644)); err != nil {
				t.Fatal(err)
			}
		},
		"truncated file": func(t *testing.T, dir string) {
			d := filepath.Join(dir, "v1", identityA.Topic, "000001")
			if err := errors.Join(os.MkdirAll(d, 0o755), os.WriteFile(filepath.Join(d, generationFile), nil, 0o644)); err != nil {
				t.Fatal(err)
			}
		},
		"half removed": func(t *testing.T, dir string) {
			old := identityA
			old.Rules = "r0"
			g := mustPrepare(t, dir, old)
			fill(t, g)
			if err := errors.Join(os.Rename(g.Dir, g.Dir+removedSuffix), os.RemoveAll(filepath.Join(g.Dir+removedSuffix, engineDir))); err != nil {
				t.Fatal(err)
			}
		},
		"new beside old": func(t *testing.T, dir string) {
			old := identityA
			old.Rules = "r0"
			g := mustPrepare(t, dir, old)
			fill(t, g)
			if err := mustChoose(t, dir, identityA).describe(); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			crash(t, dir)
			g := mustPrepare(t, dir, identityA)
			fill(t, g)
			entries, err := os.ReadDir(filepath.Join(dir, "v1", identityA.Topic))
			if err != nil || len(entries) != 1 || filepath.Join(dir, "v1", identityA.Topic, entries[0].Name()) != g.Dir {
				t.Errorf("%v, %v beside %s", entries, err, g.Dir)
			}
			if again := mustChoose(t, dir, identityA); again.Reason != "" || len(again.Replaces) > 0 {
				t.Errorf("%+v", again)
			}
		})
	}
}

func TestTopicNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "a/b", "../up", "a\\b", "ä", "a b", "a\x00", strings.Repeat("x", 250)} {
		id := identityA
		id.Topic = name
		if _, err := ChooseGeneration(t.TempDir(), id); !errors.Is(err, ErrTopicName) {
			t.Errorf("%.20q: %v", name, err)
		}
	}
	for _, name := range []string{"...", "a", "A.b_c-9", strings.Repeat("x", 249)} {
		id := identityA
		id.Topic = name
		if g, err := ChooseGeneration(t.TempDir(), id); err != nil || filepath.Base(filepath.Dir(g.Dir)) != name {
			t.Errorf("%.20q: %v, %v", name, g, err)
		}
	}
}

func TestCheckDataDir(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, ok := range map[string]bool{dir: true, filepath.Join(dir, "a", "b"): true, file: false, filepath.Join(file, "below"): false} {
		if err := CheckDataDir(path); (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		} else if err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("%q does not name %s", err, path)
		}
	}
	if os.Getuid() != 0 { // root writes anywhere
		sealed := filepath.Join(dir, "sealed")
		if err := os.Mkdir(sealed, 0o500); err != nil {
			t.Fatal(err)
		}
		if err := CheckDataDir(filepath.Join(sealed, "below")); !errors.Is(err, os.ErrPermission) {
			t.Errorf("no permission: %v", err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestInUseByThisProcess(t *testing.T) {
	dir := t.TempDir()
	g := mustPrepare(t, dir, identityA)
	s := mustOpen(t, Options{Dir: g.Dir})
	checkInUse(t, dir, g)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fill(t, g)
}

// TestInUseByAnotherProcess runs this test binary once more, which opens the directory until its input ends.
func TestInUseByAnotherProcess(t *testing.T) {
	const dirVariable = "STORE_TEST_HOLD"
	if dir := os.Getenv(dirVariable); dir != "" {
		mustOpen(t, Options{Dir: dir})
		fmt.Println("open")
		bufio.NewReader(os.Stdin).ReadString('\n')
		return
	}
	dir := t.TempDir()
	g := mustPrepare(t, dir, identityA)
	cmd := exec.Command(os.Args[0], "-test.run=^TestInUseByAnotherProcess$")
	cmd.Env = append(os.Environ(), dirVariable+"="+g.Dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("%q, %v", line, err)
	}
	checkInUse(t, dir, g)
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	fill(t, g)
}

func checkInUse(t *testing.T, dir string, g Generation) {
	t.Helper()
	if _, err := Open(Options{Dir: g.Dir}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), g.Dir) {
		t.Errorf("open: %v", err)
	}
	id := identityA
	id.Rules = "r2"
	h := mustChoose(t, dir, id)
	if err := h.Prepare(); !errors.Is(err, ErrInUse) {
		t.Errorf("prepare: %v", err)
	}
	if _, err := os.Stat(h.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused Prepare made %s: %v", h.Dir, err)
	}
}
