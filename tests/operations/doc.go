// Package operations tests what those who run kafka-cache get: metrics and their documentation, alerting rules, runbooks and the dashboard.
package operations

//go:generate go run ./prometheusrule ../../deploy/prometheus/kafka-cache.rules.yaml ../../deploy/base/prometheusrule.yaml
