package cache

import (
	"cmp"
	"fmt"

	"github.com/yolean/kafka-cache/core/codec"
)

// codecs are what a topic's keys and values are encoded with: those that are given, or those that are named.
func (t *TopicConfig) codecs() (keys, values codec.Codec, err error) {
	if keys, err = choose(t.KeyCodec, t.KeyEncoding, DefaultKeyEncoding); err == nil {
		err = codec.CheckKey(keys)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("key encoding: %w", err)
	}
	if values, err = choose(t.ValueCodec, t.ValueEncoding, DefaultValueEncoding); err != nil {
		return nil, nil, fmt.Errorf("value encoding: %w", err)
	}
	return keys, values, nil
}

func choose(given codec.Codec, name, otherwise string) (codec.Codec, error) {
	if given == nil {
		return codec.ByName(cmp.Or(name, otherwise))
	}
	return given, codec.CheckName(given)
}
