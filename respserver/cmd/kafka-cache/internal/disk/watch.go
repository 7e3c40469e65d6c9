package disk

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is what a [Watch] is made from.
type Config struct {
	// Dir is the data directory. It may not exist yet.
	Dir string
	// Limit is what it is meant to stay within, in bytes; 0: what the file system has for it.
	Limit int64
	// Logger gets a line when the directory comes near the limit and one when it has left it again.
	Logger *slog.Logger
	// Registerer gets the metrics.
	Registerer prometheus.Registerer
}

const (
	interval = 10 * time.Second
	near     = 0.90 // of the limit: warn
	clear    = 0.85 // of the limit: no longer near
)

// Watch measures what the data directory takes and what is left for it. It removes nothing.
type Watch struct {
	cfg  Config
	free func(dir string) (int64, error)
	used func(dir string) (int64, error)

	usedBytes, freeBytes, limitBytes atomic.Int64
	isNear, failing                  atomic.Bool
}

// NewWatch measures once and registers the metrics.
func NewWatch(cfg Config) (*Watch, error) {
	w := &Watch{cfg: cfg, free: freeBytes, used: usedBytes}
	w.look()
	for _, g := range []struct {
		name, help string
		value      func() float64
	}{
		{"disk_used_bytes", "What the files in --data-dir take.", func() float64 { return float64(w.usedBytes.Load()) }},
		{"disk_free_bytes", "What the file system of --data-dir has left.", func() float64 { return float64(w.freeBytes.Load()) }},
		{"disk_limit_bytes", "What --data-dir is meant to stay within: --disk-limit, or less where the file system has less for it.",
			func() float64 { return float64(w.limitBytes.Load()) }},
		{"disk_near_limit", "1 while --data-dir takes more than nine tenths of its limit.", func() float64 {
			if w.isNear.Load() {
				return 1
			}
			return 0
		}},
	} {
		opts := prometheus.GaugeOpts{Namespace: "kafka_cache", Name: g.name, Help: g.help}
		if err := cfg.Registerer.Register(prometheus.NewGaugeFunc(opts, g.value)); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Run measures until ctx ends, and returns nil.
func (w *Watch) Run(ctx context.Context) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			w.look()
		}
	}
}

// look keeps the last numbers where there are no new ones, and says so once.
func (w *Watch) look() {
	used, err := w.used(w.cfg.Dir)
	var free int64
	if err == nil {
		free, err = w.free(w.cfg.Dir)
	}
	if err != nil {
		if !w.failing.Swap(true) {
			w.cfg.Logger.Warn("what the data directory takes is not known", "error", err)
		}
		return
	}
	w.failing.Store(false)
	limit := used + free
	if w.cfg.Limit > 0 {
		limit = min(limit, w.cfg.Limit)
	}
	w.usedBytes.Store(used)
	w.freeBytes.Store(free)
	w.limitBytes.Store(limit)
	of := 1.0
	if limit > 0 {
		of = float64(used) / float64(limit)
	}
	switch {
	case of > near && !w.isNear.Swap(true):
		w.cfg.Logger.Warn("the data directory is near its limit", "used", used, "free", free, "limit", limit)
	case of < clear && w.isNear.Swap(false):
		w.cfg.Logger.Info("the data directory is no longer near its limit", "used", used, "free", free, "limit", limit)
	}
}

// usedBytes is what the files in dir take on the disk, which is what a volume's limit counts. Files come and go meanwhile.
func usedBytes(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				total += allocated(info)
			}
		}
		return gone(err)
	})
	return total, err
}

// gone forgives a file that was removed between being listed and being looked at.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
