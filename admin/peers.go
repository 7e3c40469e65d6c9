package admin

import "time"

// Peers is what is known of other instances.
type Peers struct {
	Connected int    `json:"connected"`
	Addresses []Peer `json:"addresses"`
	// Dropped is how many addresses there are beyond those that are asked.
	Dropped int `json:"dropped,omitempty"`
	// Lookups say what is wrong with names, by name.
	Lookups map[string]string `json:"lookups,omitempty"`
}

// Peer is another instance, by its address.
type Peer struct {
	Addr     string    `json:"addr"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	Identity string    `json:"identity,omitempty"`
	Instance string    `json:"instance,omitempty"`
	// Reason is a word for why it is not connected, and Error the whole of it.
	Reason string `json:"reason,omitempty"`
	Error  string `json:"error,omitempty"`
	// AgeSeconds is the time since it last told its positions, -1 where it has not.
	AgeSeconds float64 `json:"ageSeconds"`
	// Positions are what it has told: topic → partition → the next offset that it reads.
	Positions map[string]map[int32]int64 `json:"positions,omitempty"`
}
