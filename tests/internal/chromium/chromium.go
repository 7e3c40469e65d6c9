// Package chromium finds the browser that pages are tried in.
package chromium

import (
	"os/exec"
	"testing"
)

// Path is the browser's program. Where there is none, `make setup` says how to get it.
func Path(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "/Applications/Chromium.app/Contents/MacOS/Chromium"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("there is no Chromium: make setup installs it, or names what to install")
	return ""
}
