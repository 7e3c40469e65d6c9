package memory

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// noLimit is where version 1 of cgroups says that there is none: the largest int64 rounded down to pages.
const noLimit = 1 << 60

// CgroupLimit is the memory limit of the process's control group in bytes, the least of its own and its parents', or false
// where there is none. root is the root of the file system (os.DirFS("/")); both versions of control groups are known. The
// files may be visible under the group's path or, inside a container, at the root.
func CgroupLimit(root fs.FS) (int64, bool, error) {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil // not Linux
	}
	if err != nil {
		return 0, false, fmt.Errorf("read the control group: %w", err)
	}
	limit, found := int64(0), false
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		var mounts []string
		file := "memory.max"
		switch {
		case fields[0] == "0" && fields[1] == "":
			mounts = []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"}
		case contains(fields[1], "memory"):
			mounts, file = []string{"sys/fs/cgroup/memory"}, "memory.limit_in_bytes"
		}
		for _, mount := range mounts {
			n, ok, err := least(root, mount, fields[2], file)
			if err != nil {
				return 0, false, err
			}
			if ok && (!found || n < limit) {
				limit, found = n, true
			}
		}
	}
	return limit, found, nil
}

// least walks from the group's directory up to the mount.
func least(root fs.FS, mount, group, file string) (limit int64, found bool, err error) {
	for dir := path.Join("/", group); ; dir = path.Dir(dir) {
		name := path.Join(mount, dir, file)
		b, err := fs.ReadFile(root, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, false, fmt.Errorf("read the control group's limit: %w", err)
		}
		if text := strings.TrimSpace(string(b)); err == nil && text != "max" {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return 0, false, fmt.Errorf("read the control group's limit: /%s: %q is not a number", name, text)
			}
			if n < noLimit && (!found || int64(n) < limit) {
				limit, found = int64(n), true
			}
		}
		if dir == "/" {
			return limit, found, nil
		}
	}
}

func contains(list, item string) bool {
	for s := range strings.SplitSeq(list, ",") {
		if s == item {
			return true
		}
	}
	return false
}
