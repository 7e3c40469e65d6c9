//go:build race

package daemontest

const raceDetector = true
