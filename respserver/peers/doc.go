// Package peers asks other instances of the same cache what they have applied, over the Redis protocol, so that WAIT can count them.
//
// There is one connection to each peer, however many clients wait. On it a question (KAFKA.APPLIED) is always under way, which the peer answers at
// the latest after a second: while nobody waits as soon as what it told before no longer counts, and while somebody waits as soon as it
// has applied anything more. What a peer has told is kept while its connection lives and no longer, and is replaced as a whole when the peer
// says that its contents were made anew. Waits are judged by what was told: none of them asks anything of its own.
//
// Bytes from peers are read by a strict schema with bounds; a peer that answers anything else is disconnected.
package peers
