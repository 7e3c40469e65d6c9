package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
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
	// SCAN cursors are made of. What a lower one says is known, so that such a generation can be told from foreign data and be
	// replaced; its entries are not read.
	//
	// 1 had no claims beside the entries, no trails, and a checkpoint without its start. 2 did not say how long the log kept tombstones.
	generationFormat = 3

	generationFile = "generation.json"
	removedSuffix  = ".removed" // of a directory that is being removed
	maxTopicName   = 249        // as in Kafka
)

// Reasons for building a generation anew.
const (
	ReasonNew       = "new"       // there is none
	ReasonRecreated = "recreated" // what is there is of another topic of that name
	ReasonRules     = "rules"     // what is there was made with other processing rules
	ReasonFormat    = "format"    // what is there is of another format than this version writes
)

// Identity is what a generation was built from. A generation with another one is not resumed.
type Identity struct {
	ClusterID string
	Topic     string
	TopicID   position.TopicID
	Rules     string // a hash of the processing rules
}

// Generation is the directory of one generation, as [ChooseGeneration] found or named it. The order of use is Prepare, Open
// of Dir, and Complete once the store has reached the log's end.
type Generation struct {
	Dir    string // for Options.Dir
	Reason string // "" resumes what is there, otherwise a Reason constant or what Anew was given

	// Unfinished is why a generation that is resumed was begun, where it has never been complete; otherwise "".
	Unfinished string

	// Replaces are the directories that are not needed once this generation is complete. Prepare removes them, except Previous
	// and those of an older format, which stay until Complete.
	Replaces []string

	// Previous is a complete older generation of the same cluster and topic id, "" for none: one of other rules, or the one
	// that Anew was called on. It may be opened with Options.ReadOnly and be served while this one is built, which is
	// remembered across crashes. Who knows that what it holds is no older state of the log sets it to "" before Prepare, which then
	// removes it.
	Previous      string
	PreviousRules string // Identity.Rules of Previous

	fs       vfs.FS
	identity Identity
	older    []string // those of Replaces that are of an older format and stay until Complete
	beside   string   // the directory of a generation built beside all that is there
}

// description is generation.json.
type description struct {
	Format    int              `json:"format"`
	ClusterID string           `json:"clusterId"`
	Topic     string           `json:"topic"`
	TopicID   position.TopicID `json:"topicId"`
	Rules     string           `json:"rules"`
	Reason    string           `json:"reason,omitempty"`   // why it was begun
	Previous  string           `json:"previous,omitempty"` // the directory beside it that may be served until it is complete
	Complete  bool             `json:"complete"`
}

func (d description) identity() Identity {
	return Identity{ClusterID: d.ClusterID, Topic: d.Topic, TopicID: d.TopicID, Rules: d.Rules}
}

// found is a directory below a topic's.
type found struct {
	description // where the state is foundKnown or foundOlder
	dir         string
	number      int // of its name, 0 where that is none
	state       foundState
}

type foundState int

const (
	foundKnown   foundState = iota // of the format that this version writes
	foundOlder                     // of an older format: replaced
	foundUnknown                   // of an unknown or newer format, or not ours: left alone
	foundRemains                   // of a Prepare or a removal that did not finish
)

// described says that there is an identity.
func (f *found) described() bool { return f.state == foundKnown || f.state == foundOlder }

// ChooseGeneration is [ChooseGenerationOn] of the system's files.
func ChooseGeneration(dataDir string, id Identity) (Generation, error) {
	return ChooseGenerationOn(nil, dataDir, id)
}

// ChooseGenerationOn says which generation in dataDir on fs is id's, or which one is to be built; a nil fs is the system's. It
// only reads. Data of another cluster for any topic in dataDir is [ErrOtherCluster], which names both clusters and the path. A
// name that Kafka does not allow for a topic is [ErrTopicName].
func ChooseGenerationOn(fs FS, dataDir string, id Identity) (Generation, error) {
	return chooseGeneration(fileSystem(fs), dataDir, id)
}

func chooseGeneration(fs vfs.FS, dataDir string, id Identity) (Generation, error) {
	if err := checkTopicName(id.Topic); err != nil {
		return Generation{}, err
	}
	topics, err := subdirectories(fs, fs.PathJoin(dataDir, layoutDir))
	if err != nil {
		return Generation{}, fmt.Errorf("read data directory: %w", err)
	}
	topicDir := fs.PathJoin(dataDir, layoutDir, id.Topic)
	var all []found
	for _, dir := range topics {
		l, err := readGenerations(fs, dir)
		if err != nil {
			return Generation{}, fmt.Errorf("read data directory: %w", err)
		}
		for _, f := range l {
			if f.described() && f.ClusterID != id.ClusterID {
				return Generation{}, fmt.Errorf("%w: %s is of cluster %q, the brokers are of cluster %q", ErrOtherCluster, f.dir, f.ClusterID, id.ClusterID)
			}
		}
		if dir == topicDir {
			all = l
		}
	}
	return choose(fs, topicDir, id, all), nil
}

// choose picks among what is in the topic's directory: of several generations of the same identity the newest, which Anew
// began while the one before was complete.
func choose(fs vfs.FS, topicDir string, id Identity, all []found) Generation {
	g := Generation{Reason: ReasonNew, fs: fs, identity: id}
	highest := 0
	var resume *found
	for i := range all {
		f := &all[i]
		highest = max(highest, f.number)
		if f.state == foundKnown && f.identity() == id && (resume == nil || f.number > resume.number) {
			resume = f
		}
	}
	g.beside = fs.PathJoin(topicDir, fmt.Sprintf("%06d", highest+1))
	g.Dir = g.beside
	if resume != nil {
		g.Dir, g.Reason = resume.dir, ""
		if !resume.Complete {
			g.Unfinished = resume.Reason
			if g.Unfinished == "" {
				g.Unfinished = ReasonNew
			}
		}
	}
	recreated, rules, format := false, false, false
	var previous *found
	for i := range all {
		f := &all[i]
		switch {
		case f == resume:
			continue
		case f.state == foundUnknown || f.described() && f.Topic != id.Topic:
			format = true // or a file system that does not tell case apart: not ours to touch either
			continue
		case f.described() && f.TopicID != id.TopicID:
			recreated = true
		case f.state == foundOlder:
			format = true
			if g.building() {
				g.older = append(g.older, f.dir)
			}
		case f.state == foundKnown && f.Rules != id.Rules:
			rules = true
		}
		g.Replaces = append(g.Replaces, f.dir)
		if f.precedes(fs, id, resume) && (previous == nil || f.number > previous.number) {
			previous = f
		}
	}
	if previous != nil {
		g.Previous, g.PreviousRules = previous.dir, previous.Rules
	}
	switch {
	case resume != nil:
	case recreated:
		g.Reason = ReasonRecreated
	case rules:
		g.Reason = ReasonRules
	case format:
		g.Reason = ReasonFormat
	}
	return g
}

// precedes says that f may be served until the generation of id is complete: resume, or one that is to be begun. What is resumed
// says so itself, since it may have been begun because f is no older state of the log.
func (f *found) precedes(fs vfs.FS, id Identity, resume *found) bool {
	switch {
	case f.state != foundKnown || !f.Complete || f.TopicID != id.TopicID:
		return false
	case resume == nil:
		return true
	}
	return !resume.Complete && resume.Previous == fs.PathBase(f.dir)
}

// building says that the generation is not complete.
func (g Generation) building() bool { return g.Reason != "" || g.Unfinished != "" }

// readGenerations reads what is in a topic's directory, in the order of names.
func readGenerations(fs vfs.FS, topicDir string) ([]found, error) {
	dirs, err := subdirectories(fs, topicDir)
	if err != nil {
		return nil, err
	}
	var all []found
	for _, dir := range dirs {
		f, err := readGeneration(fs, dir)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

func readGeneration(fs vfs.FS, dir string) (found, error) {
	name := fs.PathBase(dir)
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
	b, err := readFile(fs, fs.PathJoin(dir, generationFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	var d description
	if err == nil && json.Unmarshal(b, &d) == nil {
		switch {
		case d.Format == generationFormat:
			f.state, f.description = foundKnown, d
		case d.Format >= 1 && d.Format < generationFormat:
			f.state, f.description = foundOlder, d
		}
		return f, nil
	}
	// Prepare syncs generation.json before there is anything else, so without data it is what a crash left of it.
	empty, err := holdsNothingElse(fs, dir)
	if err != nil {
		return f, err
	}
	if empty {
		f.state = foundRemains
	}
	return f, nil
}

// holdsNothingElse says that there is nothing in dir but what Prepare writes.
func holdsNothingElse(fs vfs.FS, dir string) (bool, error) {
	names, err := fs.List(dir)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		if name != generationFile && name != generationFile+temporarySuffix {
			return false, nil
		}
	}
	return true, nil
}

// subdirectories are the paths of the directories in dir, in the order of names; none where dir is not there.
func subdirectories(fs vfs.FS, dir string) ([]string, error) {
	names, err := fs.List(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // a link to nothing, or gone meanwhile
		}
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			dirs = append(dirs, path)
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

func readFile(fs vfs.FS, path string) (b []byte, err error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	b, err = io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}
