// Package disk watches how full the data directory and its file system are.
package disk
