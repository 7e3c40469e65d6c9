// Package config is the daemon's configuration: flags over KCACHE_… environment variables over a YAML file over defaults.
//
// All options stand in one table, from which the flags, the variables' names, the file's keys, the help, the effective
// configuration and the reference page are made. What the table does not know is an error (a variable: a warning), since
// an option that is ignored is one that somebody relies on.
package config
