// Package admin answers operators over HTTP: metrics, probes, the status as JSON and as a page, and checksums by which instances
// are compared.
//
// Nothing that it does asks Kafka or changes anything: every answer is what the instance knows of itself at that moment.
// All paths take GET and HEAD; the Host header means nothing.
package admin
