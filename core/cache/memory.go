package cache

// Memory is what the stores of a Cache hold outside Go's heap, by part, in bytes.
type Memory struct {
	ResidentIndex int64 `json:"residentIndex"` // tables, keys and values; address space, of which untouched pages cost nothing
	BlockCache    int64 `json:"blockCache"`    // Pebble's
	Memtables     int64 `json:"memtables"`     // Pebble's
}

// Memory adds up all topics, generations that are being built included. It takes some microseconds a topic, and may be called at any time.
func (c *Cache) Memory() Memory {
	var m Memory
	for _, t := range c.topics {
		for _, st := range t.stores() {
			s := st.Stats()
			m.ResidentIndex += s.TableBytes + s.ChunkBytes
			if p := s.Pebble; p != nil {
				m.Memtables += int64(p.MemTable.Size)
				m.BlockCache += p.BlockCache.Size
			}
		}
	}
	return m
}
