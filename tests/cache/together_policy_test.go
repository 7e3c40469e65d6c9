package cache_test

import (
	"errors"
	"testing"

	"github.com/yolean/kafka-cache/core/cache"
)

// TestRefusedTogether: of several writes that are one transaction, each hears what the topic's rules made of its record; a value that may not be written
// at all keeps all of them out of the log.
func TestRefusedTogether(t *testing.T) {
	b := startBroker(t)
	b.create("a", 1)
	c, topic := ready(t, b.config(cache.TopicConfig{Name: "a", ValueEncoding: "utf-8", Writable: true, ValidateWrite: noBad,
		ValidateMutation: cache.MutationPolicy{Rule: noShorter}}))
	write := func(key, value string) cache.TopicWrite {
		return cache.TopicWrite{Topic: topic, Write: cache.Write{Key: []byte(key), Value: []byte(value), Delete: value == "", Apply: patience}}
	}
	if all, err := c.WriteAll(t.Context(), write("k", "long"), write("l", "long")); err != nil || all[0].Err != nil || all[1].Err != nil {
		t.Fatalf("%+v, %v", all, err)
	}
	at := topic.Position()
	var invalid *cache.InvalidError
	if _, err := c.WriteAll(t.Context(), write("k", "longer"), write("l", "a bad one")); !errors.As(err, &invalid) || invalid.Rule != cache.RuleWrite {
		t.Fatalf("%v", err)
	}
	if now := topic.Position(); now.String() != at.String() {
		t.Errorf("a refused transaction is in the log: %v, was %v", now, at)
	}
	all, err := c.WriteAll(t.Context(), write("k", "no"), write("l", "longer"), write("m", "m"), write("k", ""))
	if err != nil {
		t.Fatal(err)
	}
	if !errors.As(all[0].Err, &invalid) || invalid.Rule != cache.RuleMutation || invalid.Written == nil || invalid.Written.Offset != all[0].Offset {
		t.Errorf("the one that is refused: %+v, %v", all[0], all[0].Err)
	}
	if all[1].Err != nil || all[2].Err != nil || all[3].Err != nil || !all[3].Removed {
		t.Errorf("the others: %+v", all[1:])
	}
	if value(t, topic, "k") != cache.ErrNotFound.Error() || value(t, topic, "l") != "longer" || value(t, topic, "m") != "m" {
		t.Errorf("k %s, l %s, m %s", value(t, topic, "k"), value(t, topic, "l"), value(t, topic, "m"))
	}
}
