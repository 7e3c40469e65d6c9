package config

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const someHash = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"

func TestUsers(t *testing.T) {
	path := writeFile(t, "topics:\n  - name: t\nusers:\n  - name: app\n    password-file: secrets/app\n    topics: {t: write, \"*\": read}\n  - name: ops\n    admin: true\n    password-sha256: "+someHash+"\n")
	c := mustLoad(t, []string{"--config", path}, nil)
	if len(c.Users) != 2 || c.Users[0].PasswordFile != filepath.Join(filepath.Dir(path), "secrets/app") || len(c.Users[0].Topics) != 2 || !c.Users[1].Admin {
		t.Errorf("%+v", c.Users)
	}
	var b strings.Builder
	if err := c.WriteEffective(&b); err != nil {
		t.Fatal(err)
	}
	// A hash without salt tells a guesser whether it has guessed: it is hidden, and who gives back what was printed is told.
	if strings.Contains(b.String(), someHash) {
		t.Errorf("the hash of a password is shown:\n%s", b.String())
	}
	if _, _, err := Load([]string{"--config", writeFile(t, b.String())}, nil); err == nil || !strings.Contains(err.Error(), "stands for a hash that is not shown") {
		t.Errorf("%v", err)
	}
	again := mustLoad(t, []string{"--config", writeFile(t, strings.Replace(b.String(), hiddenHash, someHash, 1))}, nil)
	for i := range c.Users {
		c.Users[i].at, again.Users[i].at = "", ""
	}
	if !reflect.DeepEqual(c.Users, again.Users) {
		t.Errorf("%+v\nprinted as\n%s\nis %+v", c.Users, b.String(), again.Users)
	}
}

func TestUsersThatAreWrong(t *testing.T) {
	for in, want := range map[string]string{
		"  - password-sha256: " + someHash:                "a user without a name",
		"  - name: a b\n    password-sha256: " + someHash: "is not a user's name",
		"  - name: a": "could not log in",
		"  - ann":     `a user is written "- name: ann"`,
		"  - name: a\n    password-sha256: hunter2":                                 "is not a SHA-256",
		"  - name: a\n    password: hunter2":                                        "unknown key",
		"  - name: a\n    password-sha256: " + someHash + "\n    topics: {u: read}": "there is no topic",
		"  - name: a\n    password-sha256: " + someHash + "\n    topics: {t: all}":  "is none of none, read, write",
		"  - {name: a, password-file: f}\n  - {name: a, password-file: f}":          "is given twice",
	} {
		_, _, err := Load([]string{"--config", writeFile(t, "topics:\n  - name: t\nusers:\n"+in+"\n")}, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", in, err)
		}
	}
}
