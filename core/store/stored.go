package store

import (
	"errors"
	"fmt"
)

// ErrNothingStored says that a data directory has no generation of a topic that could be served.
var ErrNothingStored = errors.New("store: nothing is stored that could be served")

// StoredGeneration is the newest complete generation in dataDir on fs of a topic by these processing rules, of whatever cluster and topic id it is: see
// [Generation.Identity]. It is for who cannot ask Kafka for these, to be resumed; nothing that lies beside it is replaced. [ErrNothingStored] where there is
// none, also where a newer one was begun since what it has is not to be served any more.
func StoredGeneration(fs FS, dataDir, topic, rules string) (Generation, error) {
	if err := checkTopicName(topic); err != nil {
		return Generation{}, err
	}
	on := fileSystem(fs)
	all, err := readGenerations(on, on.PathJoin(dataDir, layoutDir, topic))
	if err != nil {
		return Generation{}, fmt.Errorf("read data directory: %w", err)
	}
	var newest *found
	for i := range all {
		if f := &all[i]; f.described() && f.Topic == topic && (newest == nil || f.number > newest.number) {
			newest = f
		}
	}
	switch {
	case newest == nil:
		return Generation{}, ErrNothingStored
	case newest.state != foundKnown:
		return Generation{}, fmt.Errorf("%w: %s is of another format", ErrNothingStored, newest.dir)
	case newest.Rules != rules:
		return Generation{}, fmt.Errorf("%w: %s was made by other rules", ErrNothingStored, newest.dir)
	case !newest.Complete:
		return Generation{}, fmt.Errorf("%w: %s is not complete", ErrNothingStored, newest.dir)
	}
	return Generation{Dir: newest.dir, fs: on, identity: newest.identity()}, nil
}

// Identity is what the generation was built from, or is to be.
func (g Generation) Identity() Identity { return g.identity }
