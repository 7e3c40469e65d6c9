// Package admin answers operators over HTTP: metrics, probes, the status as JSON and as a live page, a key look-up, profiles, and checksums by which
// instances are compared. openapi.yaml describes every path; a test outside this module holds the two to each other.
//
// Nothing that it does asks Kafka or changes anything: every answer is what the instance knows of itself at that moment.
// All paths take GET and HEAD. Without a credential (Config.Tokens, client certificates) paths that show data are answered over loopback only, which
// the Host header has to name too; otherwise it means nothing.
package admin
