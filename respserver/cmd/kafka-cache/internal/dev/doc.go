// Package dev is the development mode's broker: Kafka's protocol in this process (franz-go's kfake), with the sample model
// in its topics, kept changing. Nothing in it is durable.
package dev
