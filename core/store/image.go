package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	imagePrefix = "image-" // of the files that an image's tables lie in until Pebble has them
	imageAhead  = 64       // entries whose memory is touched ahead
	imageSample = 32       // keys that are looked at for each table, to find where it begins
)

// image writes an index as sorted tables that do not overlap: the entries whose records a timeline has, as they are when they are come upon.
// One that has changed since the timeline ended, or that changes meanwhile, is left out where it is seen.
//
// The index is frozen meanwhile. A shard is gone through under its writer's lock, a few milliseconds each; what is found is read without one.
type image struct {
	index  *index
	times  *timeline
	opts   *Options
	tables sstable.WriterOptions
	served *atomic.Bool         // the index is read meanwhile, and leaves the readers half of the processors
	data   [shardCount][][]byte // the shards' chunks
	bounds [][]byte             // the key that each table begins with, but for the first
	paths  []string

	touched atomic.Uint32 // keeps touch from being optimised away
}

// refs are entries of one table.
type refs struct {
	table int
	all   []imageRef
}

// imageRef is an entry: the key's 8 bytes that are compared next, the shard, the number of the partition's line and the location (8, 16 and 40 bits),
// the record's offset.
type imageRef struct {
	prefix uint64
	place  uint64
	offset int64
}

const locationBits = 40

func (r *imageRef) shard() int         { return int(r.place >> 56) }
func (r *imageRef) line() int          { return int(r.place >> locationBits & (maxLines - 1)) }
func (r *imageRef) location() location { return location(r.place & (1<<locationBits - 1)) }

// write writes the tables; paths are where they are.
func (m *image) write() error {
	n := m.split()
	tables := len(m.bounds) + 1
	at := max(1, tables*m.opts.image.refs/max(n, 1)) // tables at a time
	for from := 0; from < tables; from += at {
		to := min(from+at, tables)
		found, err := m.collect(from, to, n/tables)
		if err != nil {
			return err
		}
		if err := m.writeTables(found); err != nil {
			return err
		}
	}
	return nil
}

// split decides where tables begin, and says about how many entries there are.
func (m *image) split() int {
	n, size := 0, 0
	for i := range m.index.shards {
		s := &m.index.shards[i]
		s.writer.Lock()
		n += s.live
		size += s.sizes.live
		s.writer.Unlock()
	}
	tables := max(1, size/m.opts.image.table, (n+m.opts.image.refs-1)/m.opts.image.refs)
	if tables == 1 {
		return n
	}
	every := max(1, n/(tables*imageSample))
	var sample [][]byte
	left := every
	for i := range m.index.shards {
		s := &m.index.shards[i]
		s.writer.Lock()
		for j := range s.table.slots {
			if sl := &s.table.slots[j]; !sl.empty() && !sl.tombstone() {
				if left--; left == 0 {
					key, _ := s.record(sl.location())
					sample, left = append(sample, bytes.Clone(key)), every
				}
			}
		}
		s.writer.Unlock()
	}
	slices.SortFunc(sample, bytes.Compare)
	sample = slices.CompactFunc(sample, bytes.Equal)
	for i := 1; i < tables && len(sample) >= tables; i++ {
		m.bounds = append(m.bounds, sample[i*len(sample)/tables])
	}
	return n
}

// tableOf is the table that a key belongs to.
func (m *image) tableOf(key []byte) int {
	n, found := slices.BinarySearchFunc(m.bounds, key, bytes.Compare)
	if found {
		return n + 1
	}
	return n
}

// collect finds the entries of the tables from..to-1, of which each has about so many.
func (m *image) collect(from, to, each int) ([]refs, error) {
	found := make([]refs, to-from)
	for i := range found {
		found[i] = refs{from + i, make([]imageRef, 0, each+each/4+16)}
	}
	for i := range m.index.shards {
		if err := m.collectShard(i, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (m *image) collectShard(i int, found []refs) error {
	s := &m.index.shards[i]
	s.writer.Lock()
	defer s.writer.Unlock()
	if s.closed {
		return ErrClosed
	}
	m.data[i] = append(m.data[i][:0], s.data...)
	var of *line // the one used last
	var sum byte
	defer func() { m.touched.Store(uint32(sum)) }()
	for j := range s.table.slots {
		if j%imageAhead == 0 {
			for k := j; k < min(j+imageAhead, len(s.table.slots)); k++ {
				if sl := &s.table.slots[k]; !sl.empty() {
					sum += s.data[sl.location().chunk()][sl.location().pos()] // as touch does
				}
			}
		}
		sl := &s.table.slots[j]
		if sl.empty() || sl.tombstone() {
			continue
		}
		v := sl.version()
		if of == nil || of.partition != v.partition {
			if of = m.times.byPartition[v.partition]; of == nil {
				continue
			}
		}
		if v.offset > of.last {
			continue // it came since
		}
		if sl.mark&slotHead != 0 {
			return fmt.Errorf("%w: a record with a source was taken for one without", ErrCorrupt)
		}
		key, _ := s.record(sl.location())
		if n := m.tableOf(key) - found[0].table; n >= 0 && n < len(found) {
			r := imageRef{keyPrefix(key), uint64(i)<<56 | uint64(of.number)<<locationBits | uint64(sl.location()), v.offset}
			found[n].all = append(found[n].all, r)
		}
	}
	return nil
}

// touch reads a byte of all that is needed of some entries, so that the misses of the processor's cache overlap, and says in which blocks of their
// lines they are.
func (m *image) touch(some []imageRef, blocks *[imageAhead]int) {
	var sum byte
	for i := range some {
		r := &some[i]
		of := m.times.lines[r.line()]
		blocks[i] = of.blockOf(r.offset)
		l := r.location()
		sum += m.data[r.shard()][l.chunk()][l.pos()]
	}
	for i := range some {
		of := m.times.lines[some[i].line()]
		if blocks[i] >= 0 {
			k := &of.blocks[blocks[i]]
			sum += of.pages[k.page][k.pos]
		}
		if _, value := m.record(&some[i]); len(value) > 0 {
			sum += value[len(value)-1]
		}
	}
	m.touched.Store(uint32(sum))
}

// record is an entry's key and value, which nobody changes.
func (m *image) record(r *imageRef) (key, value []byte) {
	l := r.location()
	return readRecord(m.data[r.shard()][l.chunk()][l.pos():])
}

// sort sorts entries whose keys have their first so many bytes in common.
func (m *image) sort(all []imageRef, common int) {
	slices.SortFunc(all, func(x, y imageRef) int { return cmp.Compare(x.prefix, y.prefix) })
	for i := 0; i < len(all); {
		j := i + 1
		for j < len(all) && all[j].prefix == all[i].prefix {
			j++
		}
		if j-i > 1 {
			m.sortEqual(all[i:j], common+8)
		}
		i = j
	}
}

// sortEqual sorts entries of which the first so many bytes are the same, zeros where a key has ended.
func (m *image) sortEqual(all []imageRef, common int) {
	ended := 0 // these keys are prefixes of all others
	for i := range all {
		key, _ := m.record(&all[i])
		if len(key) <= common {
			all[i].prefix = uint64(len(key))
			all[i], all[ended] = all[ended], all[i]
			ended++
		} else {
			all[i].prefix = keyPrefix(key[common:])
		}
	}
	slices.SortFunc(all[:ended], func(x, y imageRef) int { return cmp.Compare(x.prefix, y.prefix) })
	if len(all)-ended > 1 {
		m.sort(all[ended:], common)
	}
}

// writeTables sorts and writes tables, several at the same time. What waits for the disk leaves its processor to another.
func (m *image) writeTables(found []refs) error {
	found = slices.DeleteFunc(found, func(f refs) bool { return len(f.all) == 0 })
	paths := make([]string, len(found))
	for i := range found {
		paths[i] = m.opts.fs.PathJoin(m.opts.Dir, fmt.Sprintf("%s%06d.sst", imagePrefix, found[i].table))
	}
	m.paths = append(m.paths, paths...)
	var next atomic.Int64
	processors := runtime.GOMAXPROCS(0)
	errs := make([]error, min(processors+1, len(found)))
	if m.served.Load() {
		processors = (processors + 1) / 2
	}
	busy := make(chan struct{}, processors)
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(found) {
					return
				}
				if errs[w] = m.writeTable(paths[i], found[i].all, busy); errs[w] != nil {
					next.Store(int64(len(found)))
					return
				}
				found[i].all = nil
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (m *image) writeTable(path string, all []imageRef, busy chan struct{}) (err error) {
	f, err := m.opts.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	f = vfs.NewSyncingFile(f, vfs.SyncingFileOptions{BytesPerSync: 1 << 20})
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f), m.tables)
	defer func() { err = errors.Join(err, w.Close()) }() // syncs what is complete
	busy <- struct{}{}
	defer func() { <-busy }() // before that
	m.sort(all, 0)
	var key, value []byte
	inMemory := m.opts.Dir == ""
	var blocks [imageAhead]int
	for i := range all {
		if i%imageAhead == 0 {
			m.touch(all[i:min(i+imageAhead, len(all))], &blocks)
		}
		r := &all[i]
		of := m.times.lines[r.line()]
		timestamp, headers, ok := of.findIn(blocks[i%imageAhead], r.offset)
		if !ok {
			return fmt.Errorf("%w: partition %d's offset %d was applied and is not known", ErrCorrupt, of.partition, r.offset)
		}
		k, v := m.record(r)
		key = appendEntryKey(key[:0], k)
		value = appendPlain(value[:0], version{of.partition, r.offset}, timestamp, headers, v, inMemory)
		if err := w.Set(key, value); err != nil {
			return err
		}
	}
	return nil
}

// ingestImage makes all durable that the index has as of the end of the timeline. It can be called again after an error.
func (s *Store) ingestImage(times *timeline) (err error) {
	if err := s.opts.health.failing(); err != nil {
		return err
	}
	if err := s.removeImages(); err != nil {
		return err
	}
	m := &image{index: s.index, times: times, opts: &s.opts, tables: s.imageTables, served: &s.finished}
	s.index.freeze()
	err = errors.Join(m.write(), s.index.thaw())
	if err == nil && len(m.paths) > 0 {
		err = s.db.Ingest(context.Background(), m.paths)
	}
	if err != nil {
		return errors.Join(err, s.removeImages())
	}
	if err := s.opts.health.failing(); errors.Is(err, ErrFailed) {
		return err // Pebble may not know
	}
	return s.removeImages()
}

// removeImages removes the files that an attempt, or a crash, has left.
func (s *Store) removeImages() error {
	if s.inMemory() {
		return nil
	}
	names, err := s.opts.fs.List(s.opts.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, imagePrefix) {
			err = errors.Join(err, remove(s.opts.fs, s.opts.fs.PathJoin(s.opts.Dir, name)))
		}
	}
	return err
}
