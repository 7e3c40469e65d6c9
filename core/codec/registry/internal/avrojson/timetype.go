package avrojson

import (
	"math"
	"time"
)

// timeType is a logical type of dates and times: a count of units.
type timeType struct {
	kind   kind
	name   string
	unit   time.Duration // of one count
	layout string        // as it is written
	reads  string        // as it is read: fractions are optional
	want   string        // how errors describe it
	ofDay  bool          // it counts from midnight and not from 1970
}

const (
	day       = 24 * time.Hour
	wantDate  = `a date such as "2026-01-02"`
	wantTime  = `a time such as "15:04:05.678"`
	wantStamp = `a time as in RFC 3339, such as "2026-01-02T15:04:05.678Z"`
	wantLocal = `a time without a zone, such as "2026-01-02T15:04:05.678"`
)

var timeTypes = map[string]timeType{
	"date":                   {kindInt, "date", day, time.DateOnly, time.DateOnly, wantDate, false},
	"time-millis":            {kindInt, "time-millis", time.Millisecond, "15:04:05.000", time.TimeOnly, wantTime, true},
	"time-micros":            {kindLong, "time-micros", time.Microsecond, "15:04:05.000000", time.TimeOnly, wantTime, true},
	"timestamp-millis":       {kindLong, "timestamp-millis", time.Millisecond, "2006-01-02T15:04:05.000Z07:00", time.RFC3339, wantStamp, false},
	"timestamp-micros":       {kindLong, "timestamp-micros", time.Microsecond, "2006-01-02T15:04:05.000000Z07:00", time.RFC3339, wantStamp, false},
	"timestamp-nanos":        {kindLong, "timestamp-nanos", time.Nanosecond, "2006-01-02T15:04:05.000000000Z07:00", time.RFC3339, wantStamp, false},
	"local-timestamp-millis": {kindLong, "local-timestamp-millis", time.Millisecond, "2006-01-02T15:04:05.000", "2006-01-02T15:04:05", wantLocal, false},
	"local-timestamp-micros": {kindLong, "local-timestamp-micros", time.Microsecond, "2006-01-02T15:04:05.000000", "2006-01-02T15:04:05", wantLocal, false},
	"local-timestamp-nanos":  {kindLong, "local-timestamp-nanos", time.Nanosecond, "2006-01-02T15:04:05.000000000", "2006-01-02T15:04:05", wantLocal, false},
}

// The seconds of the years 0 to 9999, which is what RFC 3339 can write.
const (
	minSeconds = -62167219200
	maxSeconds = 253402300799
)

// appendTime writes a count, with its quotes; false where the form has no room for it, so that it stays a number.
func (t *timeType) appendTime(dst []byte, count int64) ([]byte, bool) {
	seconds, nanos := t.split(count)
	if seconds < minSeconds || seconds > maxSeconds || t.ofDay && (seconds < 0 || seconds >= int64(day/time.Second)) {
		return dst, false
	}
	dst = append(dst, '"')
	dst = time.Unix(seconds, nanos).UTC().AppendFormat(dst, t.layout)
	return append(dst, '"'), true
}

// split is a count as whole seconds, rounded down, and nanoseconds.
func (t *timeType) split(count int64) (seconds, nanos int64) {
	if t.unit >= time.Second {
		return count * int64(t.unit/time.Second), 0 // a count of days is an int
	}
	perSecond := int64(time.Second / t.unit)
	seconds, rest := count/perSecond, count%perSecond
	if rest < 0 {
		seconds, rest = seconds-1, rest+perSecond
	}
	return seconds, rest * int64(t.unit)
}

// parse is the count that a text stands for; a reason where it stands for none.
func (t *timeType) parse(text string) (count int64, reason string) {
	when, err := time.Parse(t.reads, text)
	if err != nil {
		return 0, `"` + clipped(text) + `" is not ` + t.want
	}
	seconds := when.Unix()
	if t.ofDay {
		seconds = int64(when.Hour())*3600 + int64(when.Minute())*60 + int64(when.Second())
	}
	if t.unit >= time.Second {
		return seconds / int64(t.unit/time.Second), ""
	}
	nanos, perSecond := int64(when.Nanosecond()), int64(time.Second/t.unit)
	if nanos%int64(t.unit) != 0 {
		return 0, `"` + clipped(text) + `" is finer than ` + t.name
	}
	rest := nanos / int64(t.unit)
	if seconds < 0 && rest > 0 { // towards 0, so that the product is in range where the sum is
		seconds, rest = seconds+1, rest-perSecond
	}
	if count = seconds * perSecond; count/perSecond != seconds || rest > 0 && count > math.MaxInt64-rest || rest < 0 && count < math.MinInt64-rest {
		return 0, `"` + clipped(text) + `" is out of the range of ` + t.name
	}
	return count + rest, ""
}
