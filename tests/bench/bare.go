package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// strip is one change of a source file of respserver that takes out what is to be measured.
type strip struct{ file, from, to string }

// strips take out of the way of a GET all that has to do with logging in and rights, limits, tracking and the slow log. What is left would neither
// be safe nor do what the documentation says: it is built for nothing but to know what these cost.
var strips = []strip{
	{"dispatch.go", "case !c.authenticated && cmd.flags&noAuth == 0:", "case false:"},
	{"dispatch.go", "case !c.user.Load().full:", "case false:"},
	{"dispatch.go", "tr := c.track.Load()", "var tr *tracking"},
	{"dispatch.go", "if cmd.timed(args) {", "if false {"},
	{"dispatch.go", "\tc.forgetCaching(cmd)\n\tif len(c.out) > at", "\tif len(c.out) > at"},
	{"dispatch.go", "if !c.runTimes {", "if false {"},
	{"conn.go", "if c.full() {", "if false {"},
	{"conn.go", "if c.srv.rate.interval > 0 && !c.inRate(cmd) {", "if false {"},
	{"conn.go", "if cmd != nil && c.srv.paused.mode.Load() != pauseNothing && c.postponed(cmd, args) {", "if false {"},
	{"conn.go", "if c.inLane.Load() && !c.sendLarge() {", "if false {"},
	{"reading.go", "\t\tc.active.Store(int64(c.srv.now()))\n", ""},
	{"buffers.go", "if have >= c.srv.cfg.QueryLimit {", "if false {"},
	{"buffers.go", "if held != c.accounted {", "if false {"},
	{"cmd_read.go", "if c.srv.lane.expected() && c.exec == nil {\n\t\tlarge, err := c.awaitTurn(key)\n\t\tif err != nil {\n\t\t\treturn false, err", "if false {\n\t\tlarge, err := c.awaitTurn(key)\n\t\tif err != nil {\n\t\t\treturn false, err"},
	{"dispatch.go", "if cmd.flags&bulky != 0 && !c.enterLane(0) {", "if false {"},
	{"cmd_read.go", "if len(c.out) >= largeReply {", "if false {"},
}

// stripped writes the changed files to dir and returns what go build -overlay reads. Each change has to apply at exactly one place.
func stripped(top, dir string) ([]byte, error) {
	files := map[string]string{}
	for _, s := range strips {
		path := filepath.Join(top, "respserver", s.file)
		if _, ok := files[path]; !ok {
			b, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			files[path] = string(b)
		}
		if n := strings.Count(files[path], s.from); n != 1 {
			return nil, fmt.Errorf("respserver/%s has %q at %d places, not at one: tests/bench/bare.go does not know this source any more", s.file, s.from, n)
		}
		files[path] = strings.Replace(files[path], s.from, s.to, 1)
	}
	replace := map[string]string{}
	for path, text := range files {
		replace[path] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return json.Marshal(map[string]any{"Replace": replace})
}

// buildBare builds kafka-cache without what strips takes out.
func (b *bench) buildBare(ctx context.Context) (string, error) {
	dir, err := b.tempDir("bare")
	if err != nil {
		return "", err
	}
	overlay, err := stripped(b.top, dir)
	if err != nil {
		return "", err
	}
	file, path := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "kafka-cache")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "-C", filepath.Join(b.top, "respserver"), "build", "-trimpath", "-overlay", file, "-o", path, "./cmd/kafka-cache")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build kafka-cache without limits: %w\n%s", err, out)
	}
	return path, nil
}
