package cache

import (
	"errors"
	"fmt"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/core/store"
)

// unverifiedReason is why a topic is Stale of which what was stored is served, see Config.ServeUnverified.
const unverifiedReason = "unverified: what was stored is served as it was, since Kafka has not said yet whether its log goes on from there"

// serveUnverified serves what an earlier run stored, where the configuration allows it and a session ended because Kafka could not be reached before
// there was one that could. From then on it is as in an outage of Kafka without a restart, but that nothing has been checked: the next session that
// reaches Kafka goes through all checks of a start, with what is served, and goes on from it or makes it anew.
func (t *Topic) serveUnverified(ended error) {
	cfg := &t.cache.cfg
	if !cfg.ServeUnverified || cfg.DataDir == "" || !errors.Is(ended, kafka.ErrUnavailable) || t.current != nil || t.aside != nil || t.rebuild != "" || t.wasReady() {
		return
	}
	if err := t.openUnverified(); err != nil {
		if complained := err.Error(); t.notUnverified != complained {
			t.notUnverified = complained
			t.log.Warn("what was stored is not served before Kafka is reached", "reason", plain(err))
		}
	}
}

func (t *Topic) openUnverified() error {
	disk, err := store.StoredGeneration(t.cache.cfg.FS, t.cache.cfg.DataDir, t.name, t.rules())
	if err != nil {
		return err
	}
	id := disk.Identity()
	if said := t.cache.clusterID.Load(); said != nil && *said != id.ClusterID {
		return fmt.Errorf("it is of cluster %q, and the brokers are of cluster %q", id.ClusterID, *said)
	}
	if said := t.tracker.topicID(); !said.IsZero() && said != id.TopicID {
		return errors.New("it is of an earlier topic of that name")
	}
	g, err := t.open(kafka.TopicInfo{Name: t.name, ID: id.TopicID, ClusterID: id.ClusterID}, disk, "", t.tracker)
	if err != nil {
		return err
	}
	start, err := checkpoint(g.store)
	if err == nil && len(start) == 0 {
		err = errors.New("it has no positions")
	}
	if err == nil {
		err = t.project(g)
	}
	if err != nil {
		t.closeGeneration(g)
		return err
	}
	t.tracker.reset(id.TopicID)
	t.tracker.restore(start)
	t.setCurrent(g)
	t.unverified.Store(true)
	t.setState(Stale, unverifiedReason)
	t.startServing()
	t.log.Warn("serving what was stored", "directory", disk.Dir, "position", t.Position().String())
	return nil
}

// checkUnverified says whether what is served unverified may be looked at as what it says it is: of this cluster. The topic's id and the positions are
// looked at as those of any generation.
func (t *Topic) checkUnverified(info kafka.TopicInfo) error {
	if !t.unverified.Load() {
		return nil
	}
	if _, err := t.choose(info, ""); err != nil {
		t.discard()
		return err
	}
	return nil
}
