package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// gzipCodec holds JSON compressed. The members of an input with several are joined, as RFC 1952 (2.2) has it; what follows the last one
// and is none is refused.
type gzipCodec struct{}

func (gzipCodec) Name() string   { return "json.gzip" }
func (gzipCodec) Identity() bool { return false }

// ValueOnly makes it one.
func (gzipCodec) ValueOnly() string {
	return "gzip's bytes for the same text differ between programs and their versions, and so would keys"
}

func (gzipCodec) Encode(dst, decoded []byte) ([]byte, error) {
	if len(decoded) > MaxDecoded {
		return dst, tooLong("json.gzip", MaxDecoded)
	}
	if err := checkJSON(decoded); err != nil {
		var invalid *InvalidError
		if errors.As(err, &invalid) {
			invalid.Encoding = "json.gzip"
		}
		return dst, err
	}
	w := deflaters.Get().(*deflater)
	defer deflaters.Put(w)
	w.out = dst
	w.zw.Reset(w)
	_, err := w.zw.Write(decoded)
	if closing := w.zw.Close(); err == nil {
		err = closing
	}
	out := w.out
	w.out = nil
	if err != nil {
		return dst, fmt.Errorf("compress with gzip: %w", err)
	}
	return out, nil
}

func (gzipCodec) Decode(dst, encoded []byte) ([]byte, error) {
	r := inflaters.Get().(*inflater)
	defer inflaters.Put(r)
	out, err := r.append(dst, encoded)
	at := len(encoded) - r.src.Len()
	r.src.Reset(nil) // nothing of it is kept
	if err == nil {
		return out, nil
	}
	if errors.Is(err, errTooLong) {
		return dst, tooLong("json.gzip", at)
	}
	return dst, &InvalidError{Encoding: "json.gzip", Offset: at, Reason: gzipReason(err)}
}

func tooLong(encoding string, at int) error {
	return &InvalidError{Encoding: encoding, Offset: at, Reason: fmt.Sprintf("decoded it has more than %d bytes", MaxDecoded)}
}

func gzipReason(err error) string {
	switch {
	case errors.Is(err, errBegin):
		return "it does not begin as gzip does"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the gzip member ends early"
	case errors.Is(err, gzip.ErrHeader):
		return "what follows a gzip member is not another"
	case errors.Is(err, gzip.ErrChecksum):
		return "its length or checksum is not what its gzip trailer says"
	}
	return "its compressed data are corrupt"
}

var (
	errTooLong = errors.New("too long")
	errBegin   = errors.New("not gzip")
)

// deflater is a compressor that appends.
type deflater struct {
	zw  *gzip.Writer
	out []byte
}

func (w *deflater) Write(b []byte) (int, error) {
	w.out = append(w.out, b...)
	return len(b), nil
}

var (
	deflaters = sync.Pool{New: func() any { return &deflater{zw: gzip.NewWriter(nil)} }}
	inflaters = sync.Pool{New: func() any { return new(inflater) }}
)

// inflater is a decompressor that appends.
type inflater struct {
	src bytes.Reader
	zr  gzip.Reader
}

func (r *inflater) append(dst, encoded []byte) ([]byte, error) {
	r.src.Reset(encoded)
	if err := r.zr.Reset(&r.src); errors.Is(err, gzip.ErrHeader) {
		return dst, errBegin
	} else if err != nil {
		return dst, err
	}
	from := len(dst)
	out := slices.Grow(dst, sizeHint(encoded))
	for {
		if len(out) == cap(out) {
			out = slices.Grow(out, max(512, len(out)-from))
		}
		room := min(cap(out)-len(out), MaxDecoded+1-(len(out)-from))
		n, err := r.zr.Read(out[len(out) : len(out)+room])
		out = out[:len(out)+n]
		switch {
		case len(out)-from > MaxDecoded:
			return dst, errTooLong
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return dst, err
		}
	}
}

// sizeHint is how much the last member says that it holds, and one for seeing its end. What it says is believed as far as deflate can
// compress, which is by 1032.
func sizeHint(encoded []byte) int {
	const trailer = 4
	if len(encoded) < trailer {
		return 0
	}
	size := binary.LittleEndian.Uint32(encoded[len(encoded)-trailer:])
	return int(min(uint64(size), MaxDecoded, 1032*uint64(len(encoded)))) + 1
}
