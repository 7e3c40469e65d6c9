// Package compare asks two instances for checksums of their topics until these show that the instances hold the same, or that they do not.
package compare
