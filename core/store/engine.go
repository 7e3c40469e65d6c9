package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// engineFormat is Pebble's own format of what this version writes. Raising it makes directories that an older build cannot
// open.
const engineFormat = pebble.FormatTableFormatV6

// engineOptions are Pebble's options as measured, see docs/adr/0004-no-wal.md, with what Options.Pebble makes of them. Its errors are
// ErrPebbleOptions.
func engineOptions(o Options) (*pebble.Options, error) {
	p := &pebble.Options{
		FormatMajorVersion: engineFormat,
		// The log is the write-ahead log. A batch is wholly in one memtable and memtables are flushed in order, so what
		// survives a crash is a prefix of the batches.
		DisableWAL: true,
		CacheSize:  o.CacheBytes,
		// A small memtable stays in the processor's cache, which is most of what an insertion costs.
		MemTableSize:                8 << 20,
		MemTableStopWritesThreshold: 4,
		MaxOpenFiles:                256,
		BytesPerSync:                1 << 20,
		Logger:                      engineLogger{o.health},
		EventListener:               o.health.listener(),
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
	}
	if o.Dir != "" {
		// Reads by key never come here: a deep level 0 costs Range and Open alone, and few large compactions write less.
		// So compaction begins at about 1 GiB, and Apply waits for it at about 4 GiB.
		p.L0CompactionThreshold = 128
		p.L0StopWritesThreshold = 500
		p.LBaseMaxBytes = 1 << 30
		p.TargetFileSizes[0] = 8 << 20
	}
	for i := range p.Levels {
		p.Levels[i].BlockSize = 32 << 10
		p.Levels[i].IndexBlockSize = 256 << 10
		p.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	p.Levels[len(p.Levels)-1].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	if o.tune != nil {
		o.tune(p)
	}
	if err := customize(o, p); err != nil {
		return nil, err
	}
	o.backlog.takeOver(p)
	return p, nil
}

// tableOptions are those of tables that are written for ingestion into a level.
func tableOptions(p *pebble.Options, level int, format sstable.TableFormat) sstable.WriterOptions {
	return p.MakeWriterOptions(level, format)
}

// openEngine opens Pebble with options that are its own, and gives the lock that it holds on its directory, nil in memory.
func openEngine(o Options, p *pebble.Options) (*pebble.DB, *pebble.Lock, error) {
	if o.Dir == "" {
		p.FS = o.fs
		db, err := pebble.Open("db", p)
		return db, nil, err
	}
	p.FS = o.fs
	dir := p.FS.PathJoin(o.Dir, engineDir)
	if o.ReadOnly {
		p.ReadOnly = true
		return openLocked(dir, p)
	}
	if err := p.FS.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, err
	}
	// Pebble syncs what is in its directory; that the directory is there has to be durable too.
	for _, d := range []string{o.Dir, p.FS.PathDir(o.Dir)} {
		f, err := p.FS.OpenDir(d)
		if err != nil {
			return nil, nil, err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return nil, nil, err
		}
	}
	return openLocked(dir, p)
}

func openLocked(dir string, p *pebble.Options) (db *pebble.DB, lock *pebble.Lock, err error) {
	if lock, err = lockEngine(p.FS, dir); err != nil {
		return nil, nil, err
	}
	p.Lock = lock
	if !p.ReadOnly {
		err = removeLogs(p.FS, dir)
	}
	if err == nil {
		db, err = pebble.Open(dir, p)
	}
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	return db, lock, nil
}

// removeLogs removes Pebble's write-ahead logs, which have nothing in them. Pebble would flush what it reads from them before Open
// returns, and for as long as a disk does not let it, Open would not return.
func removeLogs(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			if err := fs.Remove(fs.PathJoin(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// engineDir is where Pebble lies in a generation's directory.
const engineDir = "db"

// lockEngine takes Pebble's lock on its directory, and tells another holder from other faults.
func lockEngine(fs vfs.FS, dir string) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, fs)
	if err == nil {
		return lock, nil
	}
	var pathErr *os.PathError
	held := errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) && !errors.As(err, &pathErr) ||
		strings.Contains(err.Error(), "lock held by current process") // Pebble's own text; it has no sentinel for it
	if held {
		return nil, fmt.Errorf("%w: %s", ErrInUse, fs.PathDir(dir))
	}
	return nil, fmt.Errorf("lock %s: %w", dir, err)
}

// engineLogger passes Pebble's messages on.
type engineLogger struct{ health *health }

func (e engineLogger) Infof(format string, args ...any) {
	if l := e.health.log; l.Enabled(context.Background(), slog.LevelDebug) {
		l.Debug("pebble", "message", fmt.Sprintf(format, args...))
	}
}

func (e engineLogger) Errorf(format string, args ...any) {
	e.health.log.Error("pebble", "message", fmt.Sprintf(format, args...))
}

// Fatalf is what Pebble calls where it must not go on. A manifest that cannot be written is none of that, see manifestFile. Another change of it that cannot be made, before
// anything is written, does not end the process: Pebble gives the fault to whoever asked for the change, and nothing may be changed any more. Everything else is
// a state that cannot be, from which nothing that follows can be relied on.
func (e engineLogger) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if strings.HasPrefix(text, "MANIFEST ") && strings.Contains(text, " failed") { // Pebble's own texts; it has no sentinel for them
		e.health.fail(errors.New(text))
		return
	}
	panic("store: pebble cannot go on: " + text)
}
