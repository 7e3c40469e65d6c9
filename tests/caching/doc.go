// Package caching holds client-side caches to the log: clients of every mode of CLIENT TRACKING, rueidis and redis-py keep what they read, while several writers
// change it, connections are cut, the instance is killed, and its topic is made anew or emptied. Rounds of that alternate with stillness, in which what each client holds
// is compared with what the instance has; and within a round no client may keep what is older than a write that had been acknowledged when it last heard of the instance.
//
// A daemon built with the tag kafkacache_broken, which leaves out or misorders invalidations, has to be found.
package caching
