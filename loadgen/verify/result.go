package verify

import "time"

// Schema names the form of a Result in JSON. Fields may be added to it; what is there keeps its name and meaning.
const Schema = "kafka-cache/loadgen/verify/1"

// Verdict is what a comparison came to.
type Verdict string

// The verdicts, from the best to the worst.
const (
	Agrees    Verdict = "agrees"
	Undecided Verdict = "undecided" // it could not be compared: Reason says why
	Differs   Verdict = "differs"
)

// worse of two.
func (v Verdict) worse(o Verdict) Verdict {
	rank := map[Verdict]int{Agrees: 0, Undecided: 1, Differs: 2}
	if rank[o] > rank[v] {
		return o
	}
	return v
}

// Result is what instances were found to have.
type Result struct {
	Schema    string       `json:"schema"`
	Started   time.Time    `json:"started"`
	Elapsed   float64      `json:"elapsed"` // seconds
	Verdict   Verdict      `json:"verdict"` // the worst of all comparisons
	Topics    []TopicLog   `json:"topics"`
	Instances []Comparison `json:"instances"`
}

// TopicLog is what the log of a topic has.
type TopicLog struct {
	Name       string         `json:"name"`
	Database   int            `json:"database"`
	Partitions []PartitionLog `json:"partitions"`
	Records    int64          `json:"records"` // with a key, visible to read_committed
	Keys       int64          `json:"keys"`    // that are not deleted
	Passes     int            `json:"passes"`  // how often the log was read: once, or more where its keys did not fit into the memory
}

// PartitionLog is where a partition's log began and stably ended when the comparison did.
type PartitionLog struct {
	Partition int32 `json:"partition"`
	Start     int64 `json:"start"`
	End       int64 `json:"end"`
}

// Comparison is of one topic in one instance.
type Comparison struct {
	Address     string       `json:"address"`
	Topic       string       `json:"topic"`
	Verdict     Verdict      `json:"verdict"`
	Reason      string       `json:"reason"`  // of Undecided
	Keys        int64        `json:"keys"`    // compared
	Moments     int64        `json:"moments"` // of Keys: read again at one moment, since they were written to meanwhile, or differ
	Differing   int64        `json:"differing"`
	Differences []Difference `json:"differences"` // the first of them
}

// Difference is a key whose value is not what the log says.
type Difference struct {
	Key      string `json:"key"`
	Log      Side   `json:"log"`
	Instance Side   `json:"instance"`
}

// Side is what one of both has of a key.
type Side struct {
	Present   bool   `json:"present"`
	Partition int32  `json:"partition"` // -1: not known, nothing was ever written of the key
	Offset    int64  `json:"offset"`    // -1: the same
	Value     string `json:"value"`     // at most 200 bytes of it
	Length    int    `json:"length"`    // of the whole
	Note      string `json:"note"`      // "deleted", or why something is not known
}
