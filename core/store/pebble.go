package store

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// PebbleOptions are Pebble's own, for [Options].Pebble.
type PebbleOptions = pebble.Options

// ErrPebbleOptions means that [Options].Pebble has changed what must not be changed, or to what Pebble does not take.
var ErrPebbleOptions = errors.New("store: Pebble's options")

// Pebble's options are changed by name: those of mayChange by whoever opens a store, those of mustNotChange by nobody. A
// test holds both together to all that there are, so that a new one is decided on.
var (
	// mayChange decide what Pebble costs, and nothing of what it keeps.
	mayChange = []string{
		"BytesPerSync", "Cache", "CacheSize", "LoadBlockSema", "Local.ReadaheadConfig", "EventListener",
		"Experimental.L0CompactionConcurrency", "Experimental.CompactionDebtConcurrency",
		"Experimental.CompactionGarbageFractionForMaxConcurrency", "Experimental.ReadCompactionRate",
		"Experimental.ReadSamplingMultiplier", "Experimental.NumDeletionsThreshold",
		"Experimental.DeletionSizeRatioThreshold", "Experimental.TombstoneDenseCompactionThreshold",
		"Experimental.FileCacheShards", "Experimental.ValidateOnIngest", "Experimental.LevelMultiplier",
		"Experimental.MultiLevelCompactionHeuristic", "Experimental.CompactionScheduler",
		"Filters", "FlushDelayDeleteRange", "FlushDelayRangeKey", "FlushSplitBytes",
		"L0CompactionFileThreshold", "L0CompactionThreshold", "L0StopWritesThreshold", "LBaseMaxBytes",
		"TargetFileSizes", "Levels", "MaxManifestFileSize", "MaxOpenFiles", "MemTableSize",
		"MemTableStopWritesThreshold", "CompactionConcurrencyRange", "DisableTableStats", "NumPrevManifest",
		"TargetByteDeletionRate", "FreeSpaceThresholdBytes", "FreeSpaceTimeframe", "ObsoleteBytesMaxRatio",
		"ObsoleteBytesTimeframe", "AllocatorSizeClasses",
	}

	// mustNotChange, with the reason.
	mustNotChange = map[string]string{
		"FormatMajorVersion":                    whyFormat,
		"Comparer":                              whyFormat,
		"Merger":                                whyFormat,
		"KeySchema":                             whyFormat,
		"KeySchemas":                            whyFormat,
		"BlockPropertyCollectors":               whyFormat,
		"EnableSQLRowSpillMetrics":              whyUnused,
		"Experimental.EnableColumnarBlocks":     whyFormat,
		"Experimental.EnableValueBlocks":        whyFormat,
		"Experimental.ValueSeparationPolicy":    whyFormat,
		"Experimental.SpanPolicyFunc":           whyFormat,
		"Experimental.ShortAttributeExtractor":  whyFormat,
		"DisableWAL":                            whyNoWAL,
		"WALBytesPerSync":                       whyNoWAL,
		"WALDir":                                whyNoWAL,
		"WALFailover":                           whyNoWAL,
		"WALRecoveryDirs":                       whyNoWAL,
		"WALMinSyncInterval":                    whyNoWAL,
		"Unsafe.AllowMissingWALDirs":            whyNoWAL,
		"FS":                                    "Options.FS says what the store lies on",
		"Lock":                                  whyOpens,
		"ReadOnly":                              whyOpens,
		"ErrorIfExists":                         whyOpens,
		"ErrorIfNotExists":                      whyOpens,
		"ErrorIfNotPristine":                    whyOpens,
		"Logger":                                "Options.Logger gets what Pebble says",
		"LoggerAndTracer":                       "Options.Logger gets what Pebble says",
		"FileCache":                             "each store has its own",
		"DisableConsistencyCheck":               "a damaged directory has to be found when it is opened",
		"DebugCheck":                            "a damaged directory has to be found when it is opened",
		"NoSyncOnClose":                         "Close makes durable what was applied",
		"Cleaner":                               "what Pebble does not need any more is removed",
		"DisableAutomaticCompactions":           "level 0 would fill up, and nothing could be applied any more",
		"MaxConcurrentDownloads":                whyOneFS,
		"Experimental.RemoteStorage":            whyOneFS,
		"Experimental.CreateOnShared":           whyOneFS,
		"Experimental.CreateOnSharedLocator":    whyOneFS,
		"Experimental.SecondaryCacheSizeBytes":  whyOneFS,
		"Experimental.IngestSplit":              whyIngests,
		"Experimental.DisableIngestAsFlushable": whyIngests,
		"Experimental.EnableDeleteOnlyCompactionExcises": whyIngests,
		"Experimental.UserKeyCategories":                 whyUnused,
	}
)

const (
	whyFormat  = "it belongs to the format on disk"
	whyNoWAL   = "the log is the write-ahead log: Pebble has none"
	whyOpens   = "the store says how its directory is opened"
	whyOneFS   = "the store lies on one file system"
	whyIngests = "what survives a crash was proved for the way in which tables are ingested"
	whyUnused  = "nothing of the store uses it"
)

// customize lets o.Pebble change p, and checks what it did. The listener that it sets is told beside the store's.
func customize(o Options, p *pebble.Options) error {
	if o.Pebble == nil {
		return nil
	}
	listener, logger := p.EventListener, p.Logger
	p.EventListener, p.Logger = nil, nil
	before := *p
	o.Pebble(p)
	if name := changed(reflect.ValueOf(&before).Elem(), reflect.ValueOf(p).Elem(), ""); name != "" {
		return fmt.Errorf("%w: %s must not be changed: %s", ErrPebbleOptions, name, mustNotChange[name])
	}
	if theirs := p.EventListener; theirs != nil {
		both := pebble.TeeEventListener(*theirs, *listener)
		listener = &both
	}
	p.EventListener, p.Logger = listener, logger
	check := *p
	check.EnsureDefaults()
	if err := check.Validate(); err != nil {
		return fmt.Errorf("%w: %s", ErrPebbleOptions, strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; "))
	}
	return nil
}

// changed is the first option that differs and must not; "" where there is none. Structs without a name of their own are groups of options.
func changed(was, is reflect.Value, prefix string) string {
	for i := range was.NumField() {
		f := was.Type().Field(i)
		name := prefix + f.Name
		switch {
		case !f.IsExported() || slices.Contains(mayChange, name):
		case f.Type.Kind() == reflect.Struct && f.Type.Name() == "":
			if c := changed(was.Field(i), is.Field(i), name+"."); c != "" {
				return c
			}
		case !same(was.Field(i), is.Field(i)):
			return name
		}
	}
	return ""
}

// same compares two options: functions, and what is behind pointers, by where they are.
func same(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Func:
		return a.Pointer() == b.Pointer()
	case reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return a.Elem().Type() == b.Elem().Type() && same(a.Elem(), b.Elem())
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Chan:
		return a.Pointer() == b.Pointer() && (a.Kind() != reflect.Slice || a.Len() == b.Len())
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// CheckOptions is the error that [Open] would have of the options alone: what does not go together, and what Options.Pebble changes
// and must not ([ErrPebbleOptions]). It calls Options.Pebble once, and opens nothing.
func CheckOptions(o Options) error {
	if err := o.consistent(); err != nil {
		return err
	}
	_, err := engineOptions(o.withDefaults())
	return err
}
