package store

import (
	"math/bits"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// blockBits are the bits of an offset that its block leaves out: claims are counted per 2^16 offsets.
const blockBits = 16

// account is what is kept of each partition's claims as they change: their digest, and how many lie where in the log.
type account struct {
	mu          sync.Mutex // held by the applier for the time of a commit
	byPartition map[int32]*ledger
	last        *ledger // the one used last
	lastOf      int32
}

// ledger is one partition's account.
type ledger struct {
	sum    sum
	values int64           // claims that are no tombstones
	blocks map[int64]int64 // offset >> blockBits → claims, tombstones included
	block  int64           // the block whose claims are counted in here, since offsets mostly ascend
	here   int64           // to be added to blocks[block]

	logStart int64 // the log's first offset as RemoveBelow was told last
	unswept  bool  // claims below logStart came since RemoveBelow looked, or it did not get through
}

// of is a partition's ledger. The caller holds mu.
func (a *account) of(partition int32) *ledger {
	if a.last != nil && a.lastOf == partition {
		return a.last
	}
	l := a.byPartition[partition]
	if l == nil {
		if a.byPartition == nil {
			a.byPartition = make(map[int32]*ledger)
		}
		l = &ledger{blocks: make(map[int64]int64)}
		a.byPartition[partition] = l
	}
	a.last, a.lastOf = l, partition
	return l
}

// add counts a claim of the key with the hash. The caller holds mu.
func (a *account) add(key, source uint64, v version, tombstone bool) {
	l := a.of(v.partition)
	l.count(v.offset>>blockBits, 1)
	if v.offset < l.logStart {
		l.unswept = true
	}
	if !tombstone {
		l.sum.add(claimHash(key, source, v))
		l.values++
	}
}

// remove takes a claim back that was counted. The caller holds mu.
func (a *account) remove(key, source uint64, v version, tombstone bool) {
	l := a.of(v.partition)
	l.count(v.offset>>blockBits, -1)
	if !tombstone {
		l.sum.sub(claimHash(key, source, v))
		l.values--
	}
}

func (l *ledger) count(block, n int64) {
	if block == l.block {
		l.here += n
		return
	}
	if n > 0 {
		l.settle()
		l.block, l.here = block, n
		return
	}
	if l.blocks[block] += n; l.blocks[block] == 0 {
		delete(l.blocks, block)
	}
}

// settle brings what is counted apart into blocks.
func (l *ledger) settle() {
	if l.here == 0 {
		return
	}
	if l.blocks[l.block] += l.here; l.blocks[l.block] == 0 {
		delete(l.blocks, l.block)
	}
	l.here = 0
}

// below says that a block that begins below the offset has claims.
func (l *ledger) below(offset int64) bool {
	l.settle()
	for block, n := range l.blocks {
		if n != 0 && block<<blockBits < offset {
			return true
		}
	}
	return false
}

// merge adds what another account has counted, of claims that this one has not.
func (a *account) merge(b *account) {
	for partition, from := range b.byPartition {
		from.settle()
		l := a.of(partition)
		l.settle()
		l.sum.add(from.sum)
		l.values += from.values
		for block, n := range from.blocks {
			l.blocks[block] += n
			if block<<blockBits < l.logStart {
				l.unswept = true // some of them may be below
			}
		}
	}
}

// sum is a number modulo 2^128.
type sum struct{ hi, lo uint64 }

func (s *sum) add(t sum) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, t.lo, 0)
	s.hi, _ = bits.Add64(s.hi, t.hi, carry)
}

func (s *sum) sub(t sum) {
	var borrow uint64
	s.lo, borrow = bits.Sub64(s.lo, t.lo, 0)
	s.hi, _ = bits.Sub64(s.hi, t.hi, borrow)
}

// sourceHash stands for a claim's source. It belongs to the format of digests, as claimHash does.
func sourceHash(source []byte) uint64 {
	if source == nil {
		return 0
	}
	return xxhash.Sum64(source)
}

// claimHash is what a claim adds to its partition's digest. key is the key's hash.
func claimHash(key, source uint64, v version) sum {
	const k0, k1, k2, k3 = 0x9e3779b97f4a7c15, 0xd1b54a32d192ed03, 0x8bb84b93962eacc9, 0x4b33a62ed433d4a3
	mix := func(a, b uint64) uint64 { hi, lo := bits.Mul64(a, b); return hi ^ lo }
	a := mix(key^k0, uint64(v.offset)^k1)
	b := mix(source^k2, uint64(v.partition)^k3)
	return sum{hi: mix(a^k3^uint64(v.offset), b^k1^source), lo: mix(a^k2, b^k0^key)}
}
