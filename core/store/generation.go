package store

import (
	"errors"

	"github.com/yolean/kafka-cache/core/position"
)

// Identity is what a generation was built from. A generation with another one is not resumed.
type Identity struct {
	ClusterID string
	Topic     string
	TopicID   position.TopicID
	Rules     string // a hash of the processing rules
}

// Generation is the directory of one generation, as [ChooseGeneration] found or named it.
type Generation struct {
	Dir      string   // for Options.Dir
	Reason   string   // "" resumes what is there; otherwise why it is built anew: "new", "recreated", "rules" or "format"
	Replaces []string // directories that Prepare removes

	identity Identity
}

// ChooseGeneration says which generation in dataDir belongs to id, or which one is to be built. It only reads. Data of
// another cluster anywhere in dataDir is [ErrOtherCluster].
func ChooseGeneration(dataDir string, id Identity) (Generation, error) {
	return Generation{}, errors.ErrUnsupported
}

// Prepare makes the generation's directory, writes and syncs what says what it is, and removes what it replaces. After a
// crash at any moment the next ChooseGeneration and Prepare complete it. [ErrInUse] where another process has one of the
// directories open; then nothing has been changed.
func (g Generation) Prepare() error { return errors.ErrUnsupported }

// CheckDataDir reports why dataDir cannot be used: it is no directory, it or its nearest existing parent cannot be
// written to. What is there is not touched.
func CheckDataDir(dataDir string) error { return errors.ErrUnsupported }
