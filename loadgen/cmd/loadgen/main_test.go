package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

func TestSeedCommand(t *testing.T) {
	redis := miniredis.RunT(t)
	redis.RequireAuth("hunter2")
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	small := []string{"seed", "--addr", redis.Addr(), "--organizations=2", "--users=3", "--sessions=4", "--seed=9", "--pipeline=2"}
	tests := []struct {
		name string
		args []string
		code int
		out  string // in stdout or stderr
	}{
		{"all written", append(small, "--password-file", password), exitOK, "9 of 9 written"},
		{"no password", small, exitFailed, "NOAUTH"},
		{"usage", nil, exitUsage, "usage"},
		{"unknown command", []string{"frobnicate"}, exitUsage, `unknown command "frobnicate"`},
		{"help", []string{"--help"}, exitOK, "propagate"},
		{"unknown topic", append(small, "--topics=events=0"), exitUsage, "not a topic of the model"},
		{"unknown flag", []string{"seed", "--frobnicate"}, exitUsage, `see "loadgen seed --help"`},
		{"wrong value", []string{"seed", "--users=many"}, exitUsage, `"many" for flag -users`},
		{"options", []string{"seed", "--help"}, exitOK, "\n  --users number\n      number of users (default 10000)\n"},
		{"options by help", []string{"help", "verify"}, exitOK, "\n  --kafka-bootstrap "},
		{"argument", []string{"seed", "x"}, exitUsage, `unexpected argument "x"`},
		{"no organizations", []string{"seed", "--organizations=0"}, exitUsage, "at least one organization"},
		{"no pipeline", []string{"seed", "--pipeline=0"}, exitUsage, "at least 1"},
		{"no password file", append(small, "--password-file=/does/not/exist"), exitUsage, "/does/not/exist"},
		{"a user without a password", append(small, "--user=ann"), exitUsage, "without a password"},
		{"no certificates", append(small, "--tls-ca=/does/not/exist"), exitUsage, "/does/not/exist"},
	}
	for _, tt := range tests {
		var stdout, stderr strings.Builder
		code := run(t.Context(), tt.args, &stdout, &stderr)
		if code != tt.code || !strings.Contains(stdout.String()+stderr.String(), tt.out) {
			t.Errorf("%s: %d, want %d with %q\n%s%s", tt.name, code, tt.code, tt.out, stdout.String(), stderr.String())
		}
	}
}
