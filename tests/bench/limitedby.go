package main

// limitedBy says of a section, by its title, what keeps its figures from being better.
var limitedBy = map[string]string{
	"SET by many clients": "the cores, and of what a write takes of them mostly the client's connection: a producer's clients hand it a record without a system call, whereas a client of a server sends and receives, and so does the server, for each write, with a wake-up on either side. " +
		"redis-server's row is what that alone leaves on this machine, without a log, an encoding or a second reader of the record: no server that is asked in this way makes more of a producer's figure than about that. " +
		"Beyond it kafka-cache checks and encodes the value, and reads it back and stores it.",
	"Cold load next to others": "of what one partition takes, the fetch: responses of a partition come one after the other, and are decompressed and decoded by sarama, which the row of the raw fetch shows alone. " +
		"What kafka-cache needs beyond that is the start of its process and the copy of every record into the index. With four partitions decoding goes on at once, and the cores, which the broker shares, are what there is no more of.",
}
