package childproc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// isRunning reports whether a process has a thread that is not stopped (proc(5): the state follows the name in parentheses).
func isRunning(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return false
	}
	for _, t := range threads {
		b, err := os.ReadFile(t)
		if err != nil {
			continue // it has ended
		}
		if i := bytes.LastIndexByte(b, ')'); i >= 0 && i+2 < len(b) && !bytes.ContainsRune([]byte("TtZX"), rune(b[i+2])) {
			return true
		}
	}
	return false
}
