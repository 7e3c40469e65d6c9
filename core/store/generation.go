package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/yolean/kafka-cache/core/position"
)

const (
	// layoutDir is the directory below the data directory that names its layout: <layoutDir>/<topic>/<generation>/.
	layoutDir = "v1"

	// generationFormat is the version in generation.json: of the file, of the Pebble keys and values, and of the hash that
	// SCAN cursors are made of.
	generationFormat = 1

	generationFile = "generation.json"
	removedSuffix  = ".removed" // of a directory that is being removed
	maxTopicName   = 249        // as in Kafka
)

// Reasons for building a generation anew.
const (
	ReasonNew       = "new"       // there is none
	ReasonRecreated = "recreated" // what is there is of another topic of that name
	ReasonRules     = "rules"     // what is there was made with other processing rules
	ReasonFormat    = "format"    // what is there is of a format that this version does not know
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
	Reason   string   // "" resumes what is there, otherwise a Reason constant
	Replaces []string // directories that Prepare removes

	identity Identity
	beside   string // the directory of a generation built beside all that is there
}

// description is generation.json.
type description struct {
	Format    int              `json:"format"`
	ClusterID string           `json:"clusterId"`
	Topic     string           `json:"topic"`
	TopicID   position.TopicID `json:"topicId"`
	Rules     string           `json:"rules"`
}

func (d description) identity() Identity {
	return Identity{ClusterID: d.ClusterID, Topic: d.Topic, TopicID: d.TopicID, Rules: d.Rules}
}

// found is a directory below a topic's.
type found struct {
	dir      string
	number   int // of its name, 0 where that is none
	state    foundState
	identity Identity
}

type foundState int

const (
	foundKnown   foundState = iota // with an identity
	foundUnknown                   // of an unknown or newer format, or not ours: left alone
	foundRemains                   // of a Prepare that did not finish
)

// ChooseGeneration says which generation in dataDir is id's, or which one is to be built. It only reads. Data of another
// cluster for any topic in dataDir is [ErrOtherCluster], which names both clusters and the path. A name that Kafka does
// not allow for a topic is [ErrTopicName].
func ChooseGeneration(dataDir string, id Identity) (Generation, error) {
	if err := checkTopicName(id.Topic); err != nil {
		return Generation{}, err
	}
	topics, err := subdirectories(filepath.Join(dataDir, layoutDir))
	if err != nil {
		return Generation{}, fmt.Errorf("read data directory: %w", err)
	}
	topicDir := filepath.Join(dataDir, layoutDir, id.Topic)
	var all []found
	for _, dir := range topics {
		l, err := readGenerations(dir)
		if err != nil {
			return Generation{}, fmt.Errorf("read data directory: %w", err)
		}
		for _, f := range l {
			if f.state == foundKnown && f.identity.ClusterID != id.ClusterID {
				return Generation{}, fmt.Errorf("%w: %s is of cluster %q, the brokers are of cluster %q", ErrOtherCluster, f.dir, f.identity.ClusterID, id.ClusterID)
			}
		}
		if dir == topicDir {
			all = l
		}
	}
	return choose(topicDir, id, all), nil
}

// choose picks among what is in the topic's directory.
func choose(topicDir string, id Identity, all []found) Generation {
	g := Generation{Reason: ReasonNew, identity: id}
	highest := 0
	resume := -1
	for i, f := range all {
		highest = max(highest, f.number)
		if f.state == foundKnown && f.identity == id && (resume < 0 || f.number > all[resume].number) {
			resume = i
		}
	}
	recreated, rules, format := false, false, false
	for i, f := range all {
		switch {
		case i == resume:
			continue
		case f.state == foundUnknown || f.state == foundKnown && f.identity.Topic != id.Topic:
			format = true // or a file system that does not tell case apart: not ours to touch either
			continue
		case f.state == foundKnown && f.identity.TopicID != id.TopicID:
			recreated = true
		case f.state == foundKnown && f.identity.Rules != id.Rules:
			rules = true
		}
		g.Replaces = append(g.Replaces, f.dir)
	}
	g.beside = filepath.Join(topicDir, fmt.Sprintf("%06d", highest+1))
	switch {
	case resume >= 0:
		g.Dir, g.Reason = all[resume].dir, ""
		return g
	case recreated:
		g.Reason = ReasonRecreated
	case rules:
		g.Reason = ReasonRules
	case format:
		g.Reason = ReasonFormat
	}
	g.Dir = g.beside
	return g
}

// readGenerations reads what is in a topic's directory, in the order of names.
func readGenerations(topicDir string) ([]found, error) {
	dirs, err := subdirectories(topicDir)
	if err != nil {
		return nil, err
	}
	var all []found
	for _, dir := range dirs {
		f, err := readGeneration(dir)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

func readGeneration(dir string) (found, error) {
	name := filepath.Base(dir)
	f := found{dir: dir, state: foundUnknown}
	name, removed := strings.CutSuffix(name, removedSuffix)
	if n, err := strconv.Atoi(name); err == nil && n > 0 && fmt.Sprintf("%06d", n) == name {
		f.number = n
	}
	if f.number == 0 {
		return f, nil
	}
	if removed {
		f.state = foundRemains
		return f, nil
	}
	b, err := os.ReadFile(filepath.Join(dir, generationFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	var d description
	if err == nil && json.Unmarshal(b, &d) == nil {
		if d.Format == generationFormat {
			f.state, f.identity = foundKnown, d.identity()
		}
		return f, nil
	}
	// Prepare syncs generation.json before there is anything else, so without data it is what a crash left of it.
	empty, err := holdsNothingElse(dir)
	if err != nil {
		return f, err
	}
	if empty {
		f.state = foundRemains
	}
	return f, nil
}

// holdsNothingElse says that there is nothing in dir but what Prepare writes.
func holdsNothingElse(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if e.Name() != generationFile && e.Name() != generationFile+temporarySuffix {
			return false, nil
		}
	}
	return true, nil
}

// subdirectories are the paths of the directories in dir, in the order of names; none where dir is not there.
func subdirectories(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(dirs)
	return dirs, nil
}

// checkTopicName allows what Kafka allows: letters, digits, '.', '_', '-', and neither "." nor "..".
func checkTopicName(name string) error {
	ok := name != "" && name != "." && name != ".." && len(name) <= maxTopicName
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
	}
	if !ok {
		return fmt.Errorf("%w: %.300q", ErrTopicName, name)
	}
	return nil
}

// unused reports ErrInUse where a Store has the generation in dir open.
func unused(dir string) error {
	db := filepath.Join(dir, engineDir)
	if _, err := os.Stat(db); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lock, err := lockEngine(vfs.Default, db)
	if err != nil {
		return err
	}
	return lock.Close()
}
