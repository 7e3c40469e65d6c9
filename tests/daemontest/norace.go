//go:build !race

package daemontest

const raceDetector = false
