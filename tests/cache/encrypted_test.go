package cache_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// encrypted is a file system whose files are encrypted with AES in counter mode, as what is written once and appended to allows: each has a nonce of its own in
// front. It hides contents, not names or sizes, and does not notice changes: Pebble's checksums do.
type encrypted struct {
	vfs.FS
	block cipher.Block
}

func encrypt(fs vfs.FS, key []byte) (vfs.FS, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &encrypted{fs, block}, nil
}

const nonceSize = aes.BlockSize

func (e *encrypted) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := e.FS.Create(name, c)
	if err != nil {
		return nil, err
	}
	out := &encryptedFile{File: f, block: e.block, known: true}
	if _, err := rand.Read(out.nonce[:]); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.Write(out.nonce[:]); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return out, nil
}

func (e *encrypted) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	return e.opened(e.FS.Open(name, opts...))
}

func (e *encrypted) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return e.opened(e.FS.OpenReadWrite(name, c, opts...))
}

func (e *encrypted) opened(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return f, err
	}
	return &encryptedFile{File: f, block: e.block}, nil
}

// ReuseForWrite makes a new file: what is under the old one's nonce must not be written over.
func (e *encrypted) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := e.FS.Remove(from); err != nil {
		return nil, err
	}
	return e.Create(to, c)
}

func (e *encrypted) Stat(name string) (vfs.FileInfo, error) { return shorter(e.FS.Stat(name)) }

func (e *encrypted) Unwrap() vfs.FS { return e.FS }

// encryptedFile is a file behind its nonce. It is read at any place, and written at its end.
type encryptedFile struct {
	vfs.File
	block cipher.Block

	mu    sync.Mutex
	nonce [nonceSize]byte
	known bool // the nonce is read
	at    int64
}

// stream is the key stream from an offset on; io.EOF where the file does not even have its nonce.
func (f *encryptedFile) stream(offset int64) (cipher.Stream, error) {
	if !f.known {
		if n, err := f.File.ReadAt(f.nonce[:], 0); n < nonceSize {
			return nil, errors.Join(io.EOF, err)
		}
		f.known = true
	}
	counter, carry := f.nonce, uint64(offset/aes.BlockSize)
	for i := len(counter) - 1; carry > 0 && i >= 0; i-- {
		carry += uint64(counter[i])
		counter[i] = byte(carry)
		carry >>= 8
	}
	s := cipher.NewCTR(f.block, counter[:])
	skip := make([]byte, offset%aes.BlockSize)
	s.XORKeyStream(skip, skip)
	return s, nil
}

func (f *encryptedFile) Read(b []byte) (int, error) {
	f.mu.Lock()
	at := f.at
	f.mu.Unlock()
	n, err := f.ReadAt(b, at)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

func (f *encryptedFile) ReadAt(b []byte, at int64) (int, error) {
	f.mu.Lock()
	s, err := f.stream(at)
	f.mu.Unlock()
	if err != nil {
		return 0, io.EOF
	}
	n, err := f.File.ReadAt(b, nonceSize+at)
	s.XORKeyStream(b[:n], b[:n])
	return n, err
}

func (f *encryptedFile) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, err := f.stream(f.at)
	if err != nil {
		return 0, err
	}
	hidden := make([]byte, len(b)) // what is given must not be changed
	s.XORKeyStream(hidden, b)
	n, err := f.File.Write(hidden)
	f.at += int64(n)
	return n, err
}

func (f *encryptedFile) WriteAt([]byte, int64) (int, error) {
	return 0, errors.New("encrypted: a file is written at its end only")
}

func (f *encryptedFile) Preallocate(offset, length int64) error {
	return f.File.Preallocate(offset+nonceSize, length)
}

func (f *encryptedFile) SyncTo(length int64) (bool, error) { return f.File.SyncTo(length + nonceSize) }

func (f *encryptedFile) Prefetch(offset, length int64) error {
	return f.File.Prefetch(offset+nonceSize, length)
}

func (f *encryptedFile) Stat() (vfs.FileInfo, error) { return shorter(f.File.Stat()) }

// Fd is none: what is read past this file system is not what is in the file.
func (f *encryptedFile) Fd() uintptr { return vfs.InvalidFd }

// shorter is a file's size without its nonce.
func shorter(info vfs.FileInfo, err error) (vfs.FileInfo, error) {
	if err != nil || info.IsDir() {
		return info, err
	}
	return shorterInfo{info}, nil
}

type shorterInfo struct{ vfs.FileInfo }

func (i shorterInfo) Size() int64 { return max(0, i.FileInfo.Size()-nonceSize) }

var _ os.FileInfo = shorterInfo{}
