package main

import (
	"runtime"
	"runtime/debug"
)

// version is set by the linker for a release (-X main.version=v1.2.3).
var version string

// versionName is the release, or what the build knows of itself.
func versionName() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	name, revision, modified := info.Main.Version, "", ""
	if name == "" || name == "(devel)" {
		name = "devel"
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = "-" + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "-modified"
		}
	}
	if name != "devel" {
		return name
	}
	return name + revision + modified
}

func versionText() string {
	return versionName() + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
}
