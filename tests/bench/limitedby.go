package main

// limitedBy says of a section, by its title, what keeps its figures from being better.
var limitedBy = map[string]string{
	"Cold load next to others": "of what one partition takes, the fetch: responses of a partition come one after the other, and are decompressed and decoded by sarama, which the row of the raw fetch shows alone. " +
		"What kafka-cache needs beyond that is the start of its process and the copy of every record into the index. With four partitions decoding goes on at once, and the cores, which the broker shares, are what there is no more of.",
}
