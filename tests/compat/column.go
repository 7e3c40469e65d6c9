package compat

// Column is what is tried of a library.
type Column struct {
	Name string // as probes print it
	Does string // what is tried, for the page
}

// Columns are those of the table, in its order.
var Columns = []Column{
	{"connect", "connects with the library's defaults, `PING` and `ECHO`"},
	{"auth", "a password; a wrong one and none are refused with `WRONGPASS` and `NOAUTH`"},
	{"select", "connects to database 1, which is another topic"},
	{"read", "`GET` `MGET` `EXISTS` `STRLEN` `GETRANGE` `TTL` `TYPE`, of keys that are there and that are not"},
	{"write", "`SET` `MSET` `DEL`, each read back at once; a read-only topic answers `READONLY`"},
	{"pipeline", "100 `SET` and 100 `GET` in one pipeline, not as a transaction"},
	{"transaction", "`MULTI` … `EXEC` as the library sends it: writes, and reads that see them"},
	{"scan", "the library's iterator: 300 keys of a pattern, each at least once and no other"},
	{"subscribe", "keyspace notifications of a record that another producer wrote"},
	{"cache", "the library's client-side cache: a hit, and after a record of another producer its value"},
	{"reconnect", "the daemon is restarted and answers `LOADING` for a while: the same client goes on by itself"},
	{"cluster", "the library's cluster client is told that there is no cluster, and does not hang"},
	{"wait", "`WAIT` for writes: at once when reached, held until its time is over when not"},
	{"big", "a value of 5 MB"},
	{"binary", "a key and a value of all 256 bytes"},
	{"pool", "50 callers at the same time, each with values of its own"},
	{"tls", "TLS, with the daemon's certificate checked"},
}

// Result is what came of one column, or of one check of a tool.
type Result struct {
	Column string `json:"column"`
	OK     bool   `json:"ok"`
	Absent bool   `json:"-"`    // the library has nothing of the kind; Note says what
	Note   string `json:"note"` // what was seen: an error where it failed
}

// Report is what came of one library or tool.
type Report struct {
	Name      string
	Version   string // as it tells itself where it can be asked
	Results   []Result
	NotHad    string // why there is none to be tried; Results are empty then
	Detail    string // what the probe printed beside its results, where something failed
	Replaying bool   // frames were replayed in place of the tool
}

// Failed tells whether anything but what is absent did not pass.
func (r Report) Failed() bool {
	if len(r.Results) == 0 && r.NotHad == "" {
		return true
	}
	for _, c := range r.Results {
		if !c.OK && !c.Absent {
			return true
		}
	}
	return false
}

// result is that of a column.
func (r Report) result(column string) (Result, bool) {
	for _, c := range r.Results {
		if c.Column == column {
			return c, true
		}
	}
	return Result{}, false
}
