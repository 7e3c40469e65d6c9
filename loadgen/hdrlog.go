package loadgen

import (
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// hdrLog writes a histogram log, as HdrHistogram's own tools read it: values in nanoseconds, maxima in milliseconds, the
// operation as the tag. With no writer it does nothing. The first error stays, and ends it.
type hdrLog struct {
	out io.Writer
	err error
	log *hdrhistogram.HistogramLogWriter
}

func (l *hdrLog) start(begin time.Time) {
	if l.out == nil {
		return
	}
	l.log = hdrhistogram.NewHistogramLogWriter(l.out)
	ms := begin.UnixMilli()
	l.log.SetBaseTime(ms)
	for _, f := range []func() error{
		l.log.OutputLogFormatVersion,
		func() error { return l.log.OutputComment("latencies of loadgen, in nanoseconds") },
		func() error { return l.log.OutputBaseTime(ms) },
		func() error { return l.log.OutputStartTime(ms) },
		l.log.OutputLegend,
	} {
		if l.err == nil {
			l.err = f()
		}
	}
}

// write adds an interval.
func (l *hdrLog) write(tag string, h *hdrhistogram.Histogram, begin, end time.Time) {
	if l.log == nil || l.err != nil || h == nil || h.TotalCount() == 0 {
		return
	}
	h.SetTag(tag)
	h.SetStartTimeMs(begin.UnixMilli())
	h.SetEndTimeMs(end.UnixMilli())
	l.err = l.log.OutputIntervalHistogram(h)
}
