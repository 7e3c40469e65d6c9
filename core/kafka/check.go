package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// probeBytes is asked for where one record is looked for. The record batch that has it comes whole (KIP-74).
const probeBytes = 16 << 10

// verdict is what one look at the log says about one of a trail's marks.
type verdict int

const (
	undecided verdict = iota // nothing is left there that would tell
	sameEpoch                // its record batch is of the epoch that was seen
	same                     // it is the record that was seen
	elsewhere                // the verdict was reported already: a fault, or the end of Run
	below                    // the log begins after it
)

// checkTrails holds the log against what was applied of it, for each partition that has another leader epoch than when
// that was last done: only then can an unclean election have put another log in its place. Until the epoch changes
// again the leader refuses fetches (KIP-320), so what follows is of the log that was checked. It returns the partitions
// that can be fetched.
func (l *loop) checkTrails(r *response, due []*partition) []*partition {
	if l.f.config.Trail == nil {
		return due
	}
	ready := due[:0:0]
	for _, p := range due {
		if !p.trailed {
			trail := l.f.config.Trail(p.id)
			p.trailed = true
			p.checkedEpoch = trail.newestEpoch()
			p.readEpoch = p.checkedEpoch
		}
		if p.epoch == p.checkedEpoch || l.checkTrail(r, p) {
			p.checkedEpoch = p.epoch
			ready = append(ready, p)
		}
		if l.ctx.Err() != nil || len(l.parts) == 0 {
			return nil // all were given back
		}
	}
	return ready
}

// checkTrail looks at the trail's marks, newest first, until one tells. It reports whether to go on; if not, it has
// reported why.
func (l *loop) checkTrail(r *response, p *partition) bool {
	trail := l.f.config.Trail(p.id)
	matched := false
	newest := int64(-1)
	if n := len(trail.Anchors); n > 0 {
		newest = trail.Anchors[n-1].Offset
	}
	if n := len(trail.Epochs); n > 0 && trail.Epochs[n-1].Last > newest {
		// What was read ends with a marker, or with records that were not delivered. There is no record to compare, but
		// an offset has one leader epoch.
		e := trail.Epochs[n-1]
		newest = e.Last
		switch l.probe(r, p, e.Last, func(is *decoded) (verdict, string) { return epochVerdict(is, e.Last, e.Epoch) }) {
		case elsewhere:
			return false
		case below:
			return true
		case sameEpoch:
			matched = true
		}
	}
	for i := len(trail.Anchors) - 1; i >= 0; i-- {
		a := trail.Anchors[i]
		switch v := l.probe(r, p, a.Offset, func(is *decoded) (verdict, string) { return anchorVerdict(is, a) }); v {
		case elsewhere:
			return false
		case same:
			return true
		case sameEpoch:
			matched = true
		case below:
			if a.Offset == newest {
				return true // all that was read has left the log since
			}
			i = 0 // the older ones too
		}
	}
	if matched || newest < 0 {
		return true
	}
	l.f.fail(&DivergedError{Partition: p.id, Offset: newest, Reason: fmt.Sprintf(
		"leader epoch %d came after %d, and nothing of what was read before is left in the log to compare", p.epoch, p.checkedEpoch)})
	return false
}

// epochVerdict compares the leader epoch that an offset had with what the log has at it, or after it.
func epochVerdict(is *decoded, offset int64, epoch int32) (verdict, string) {
	if epoch < 0 || len(is.epochs) == 0 {
		return undecided, ""
	}
	switch first := is.epochs[0]; {
	case first.First > offset && first.Epoch < epoch:
		return elsewhere, fmt.Sprintf("leader epoch %d was there, and the log goes on with epoch %d", epoch, first.Epoch)
	case first.First > offset:
		return undecided, ""
	case first.Epoch != epoch:
		return elsewhere, fmt.Sprintf("leader epoch %d was there and epoch %d is", epoch, first.Epoch)
	}
	return sameEpoch, ""
}

// anchorVerdict compares a record with what the log has at its offset.
func anchorVerdict(is *decoded, a Anchor) (verdict, string) {
	v, reason := epochVerdict(is, a.Offset, a.LeaderEpoch)
	if v == elsewhere || len(is.records) == 0 || is.records[0].Offset != a.Offset {
		return v, reason
	}
	if got := anchorOf(&is.records[0], is.epochAt(a.Offset)); got != a {
		return elsewhere, fmt.Sprintf("another record is there: its timestamp is %d, that of the one read was %d", got.Timestamp, a.Timestamp)
	}
	return same, ""
}

// probe reads what the log has at an offset and judges it. A verdict of elsewhere has been reported.
func (l *loop) probe(r *response, p *partition, offset int64, judge func(*decoded) (verdict, string)) verdict {
	for limit := int32(probeBytes); ; limit *= 2 {
		block, err := l.look(p, offset, limit)
		if err != nil {
			l.failAll(r, []*partition{p}, fmt.Errorf("check the log at offset %d of partition %d: %w", offset, p.id, err))
			return elsewhere
		}
		if block.Err == sarama.ErrOffsetOutOfRange || block.Err == sarama.ErrNoError && block.HighWaterMarkOffset <= offset {
			return l.probeOutside(r, p, offset)
		}
		if block.Err != sarama.ErrNoError {
			l.failOne(r, p, fmt.Errorf("check the log at offset %d: %w", offset, classify(block.Err)))
			return elsewhere
		}
		var d decoder
		is, err := d.block(block, offset)
		if err != nil {
			l.failOne(r, p, fmt.Errorf("check the log at offset %d: %w", offset, err))
			return elsewhere
		}
		if is.next == offset && limit <= fetchFrame/2 {
			continue // cut within its first batch, by a broker that keeps to the limit
		}
		v, reason := judge(&is)
		if v == elsewhere {
			l.f.fail(&DivergedError{Partition: p.id, Offset: offset, Reason: reason})
		}
		return v
	}
}

// look fetches from an offset on, uncommitted: whether a transaction was aborted does not matter here.
func (l *loop) look(p *partition, offset int64, limit int32) (*sarama.FetchResponseBlock, error) {
	req := &sarama.FetchRequest{Version: 12, MaxWaitTime: 1, MaxBytes: limit, Isolation: sarama.ReadUncommitted, SessionEpoch: -1}
	req.AddBlock(l.f.config.Topic, p.id, offset, limit, p.epoch)
	var res *sarama.FetchResponse
	for res == nil || isThrottled(res) {
		err := l.ask(func(b *sarama.Broker) (time.Duration, error) {
			var err error
			if res, err = b.Fetch(req); err != nil {
				return 0, err
			}
			if res.ErrorCode != 0 {
				return res.ThrottleTime, sarama.KError(res.ErrorCode)
			}
			return res.ThrottleTime, nil
		})
		if err != nil {
			return nil, err
		}
	}
	block := res.GetBlock(l.f.config.Topic, p.id)
	if block == nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, sarama.ErrIncompleteResponse)
	}
	return block, nil
}

// probeOutside judges a mark that lies outside the log. That it lies above the end is believed only the second time, after
// metadata has confirmed topic and leader: a new leader can be behind for a moment.
func (l *loop) probeOutside(r *response, p *partition, offset int64) verdict {
	start, end, err := l.logBounds(p)
	switch {
	case err != nil:
		l.failOne(r, p, err)
		return elsewhere
	case offset < start:
		return below
	}
	if p.outOfRange++; p.outOfRange > 1 {
		switch {
		case p.next > end:
			l.f.fail(&OutOfRangeError{Partition: p.id, Position: p.next, LogStart: start, End: end})
			return elsewhere
		case offset >= end:
			l.f.fail(&DivergedError{Partition: p.id, Offset: offset, Reason: fmt.Sprintf("the log ends at %d", end)})
			return elsewhere
		}
	}
	l.failOne(r, p, fmt.Errorf("check the log at offset %d, not confirmed yet: %w", offset, sarama.ErrOffsetOutOfRange))
	return elsewhere
}

// logBounds asks for the log's first offset and its high watermark.
func (l *loop) logBounds(p *partition) (start, end int64, err error) {
	starts, err1 := l.bounds([]int32{p.id}, sarama.OffsetOldest)
	ends, err2 := l.bounds([]int32{p.id}, sarama.OffsetNewest)
	start, ok1 := starts[p.id]
	end, ok2 := ends[p.id]
	if !ok1 || !ok2 {
		return 0, 0, fmt.Errorf("ask for the log's bounds: %w", errors.Join(err1, err2))
	}
	return start, end, nil
}
