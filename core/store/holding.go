package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// holding reads what is held of a key with all its claims, for the applier. A load goes on in commits where Pebble is needed for it.
func (s *Store) holding(hash uint64, key []byte) (holding, error) {
	h := holding{key: key, hash: hash}
	var err error
	h.was, _, h.held, err = s.index.peek(hash, key)
	if err != nil || !h.held {
		return h, err
	}
	if h.was.tombstone() && !h.was.split() {
		h.claims = claims{{
			Meta:      Meta{Partition: h.was.partition, Offset: h.was.offset, Timestamp: int64(h.was.head)},
			tombstone: true, stored: aside,
		}}
		return h, nil
	}
	if err := s.endLoadLocked(); err != nil {
		return h, err
	}
	if h.was.split() {
		if h.claims, err = claimsAside(s.db, key); err != nil {
			return h, fmt.Errorf("read claims: %w", err)
		}
	}
	if h.was.tombstone() {
		return h, nil
	}
	meta, err := entryMeta(s.db, key)
	if err != nil {
		return h, fmt.Errorf("read entry: %w", err)
	}
	c := claim{Meta: meta, stored: asEntry}
	if c.version() != h.was.version {
		return h, fmt.Errorf("%w: index and Pebble differ", ErrCorrupt)
	}
	if c.value, _, err = s.index.get([]byte{}, key); err != nil {
		return h, err
	}
	h.claims, err = h.claims.with(c)
	return h, err
}

// entryMeta is where key's entry in Pebble came from.
func entryMeta(r pebble.Reader, key []byte) (Meta, error) {
	b, closer, err := r.Get(appendEntryKey(nil, key))
	if err != nil {
		return Meta{}, err
	}
	e, err := parseEntry(b, nil)
	m := cloneMeta(e.Meta)
	return m, errors.Join(err, closer.Close())
}

// claimsAside reads the claims of a key in the side table.
func claimsAside(r pebble.Reader, key []byte) (cs claims, err error) {
	lower, upper := claimBounds(key)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		_, c, err := parseClaim(it)
		if err != nil {
			return nil, err
		}
		cs = append(cs, c)
	}
	return cs, it.Error()
}

// eachKeysClaims goes through the claims of an iterator over spaceClaims, key by key in their order, until fn answers false. What it is given is
// valid during fn.
func (s *Store) eachKeysClaims(it *pebble.Iterator, fn func(key []byte, of claims) (on bool, err error)) error {
	var last []byte
	var of claims
	for ok := it.First(); ok; ok = it.Next() {
		if s.gate.isClosed() {
			return ErrClosed
		}
		key, c, err := parseClaim(it)
		if err != nil {
			return err
		}
		if len(of) > 0 && !bytes.Equal(key, last) {
			if on, err := fn(last, of); err != nil || !on {
				return err
			}
			of = of[:0]
		}
		last, of = append(last[:0], key...), append(of, c)
	}
	if err := it.Error(); err != nil || len(of) == 0 {
		return err
	}
	_, err := fn(last, of)
	return err
}

// parseClaim is the claim that an iterator over the side table is at, and its key. The key is valid until the iterator moves,
// the claim is the caller's.
func parseClaim(it *pebble.Iterator) (key []byte, c claim, err error) {
	key, partition, source, err := parseClaimKey(it.Key())
	if err != nil {
		return nil, c, err
	}
	b, err := it.ValueAndErr()
	if err != nil {
		return nil, c, err
	}
	e, err := parseEntry(b, nil)
	if err != nil {
		return nil, c, err
	}
	if e.noValue || e.Partition != partition || !bytes.Equal(e.Source, source) || (e.Source == nil) != (source == nil) {
		return nil, c, fmt.Errorf("%w: claim of another key", ErrCorrupt)
	}
	c = claim{Meta: cloneMeta(e.Meta), tombstone: e.tombstone, stored: aside}
	if !c.tombstone {
		c.value = append([]byte{}, e.value...)
	}
	return key, c, nil
}

// claimKey is the Pebble key of a claim in the side table: the space, the key's length (uvarint) and the key, the partition (4 bytes,
// big-endian), nothing or 1 and the source.
func claimKey(key []byte, partition int32, source []byte) []byte {
	k := make([]byte, 0, 1+uvarintLen(uint64(len(key)))+len(key)+4+1+len(source))
	k = appendClaimPrefix(k, key)
	k = binary.BigEndian.AppendUint32(k, uint32(partition))
	if source != nil {
		k = append(append(k, 1), source...)
	}
	return k
}

func appendClaimPrefix(dst, key []byte) []byte {
	dst = append(dst, spaceClaims)
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	return append(dst, key...)
}

// claimBounds are the Pebble keys between which a key's claims lie. Partitions are below 2^31.
func claimBounds(key []byte) (lower, upper []byte) {
	lower = appendClaimPrefix(nil, key)
	return lower, append(lower[:len(lower):len(lower)], 0xff)
}

func parseClaimKey(k []byte) (key []byte, partition int32, source []byte, err error) {
	r := reader{b: k}
	if len(k) == 0 || k[0] != spaceClaims {
		r.bad = true
	} else {
		r.b = k[1:]
	}
	key = r.bytes(r.uvarint())
	p := r.bytes(4)
	switch {
	case r.bad || p[0] > 0x7f:
		r.bad = true
	case len(r.b) > 0 && r.b[0] == 1:
		source = r.b[1:]
	case len(r.b) > 0:
		r.bad = true
	}
	if r.bad {
		return nil, 0, nil, fmt.Errorf("%w: claim key %x", ErrCorrupt, k)
	}
	return key, int32(binary.BigEndian.Uint32(p)), source, nil
}
