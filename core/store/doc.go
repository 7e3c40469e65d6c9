// Package store keeps one topic's entries: a Pebble database that survives restarts and can be read in key order, and in
// front of it a resident index that answers every read by key.
//
// A [Store] is one generation of one topic: what was built from one incarnation of the topic under one set of processing
// rules. [ChooseGeneration] says which directory that is. The store changes through [Store.Apply], which commits entries and
// the partition's next position together; and through [Store.RemoveBelow] and [Verification.Finish], which take out what the
// log no longer has.
//
// What is kept of a key is a [Claim] of each partition and source. One claim wins and is the key's entry, the others lie in a
// side table that is empty for ordinary keys. Which one wins is a function of the log, whatever the order in which partitions
// are read, but for tombstones that the log or this store (see [Store.SetPartitions]) has let go.
//
// The resident index has 256 shards by the first byte of the key's hash (XXH64, seed 0, which is part of the format). A
// shard's table holds pointer-free slots in hash order, its values lie in chunks outside the Go heap. Since the order is the
// hash's and not the table's, a SCAN cursor is a hash prefix that means the same after growth, after a restart and on
// another instance.
//
// Without a directory Pebble holds keys and metadata on an in-memory file system and values live once, in the index.
//
// # Locks
//
// From outermost to innermost: the gate (every call that touches Pebble passes it, Close waits until they have left), the
// apply mutex (one applier at a time), the commit lock (from Pebble's commit to the end of the index update), the account's
// mutex, a verification's or a shard's writer mutex, a shard's read-write lock. Callbacks of Apply and Range run without any lock that a reader needs; those of
// Scan run under one shard's lock.
package store
