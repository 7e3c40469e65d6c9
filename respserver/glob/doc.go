// Package glob matches the patterns of Redis's SCAN, KEYS, CONFIG GET and PSUBSCRIBE (util.c, stringmatchlen): * and ?, classes
// such as [a-z] and [^0], and \ to take a byte literally.
package glob
