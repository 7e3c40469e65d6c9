package main

import (
	"bufio"
	"strings"
	"testing"
)

func TestScanReply(t *testing.T) {
	key := "$36\r\n" + strings.Repeat("k", keySize) + "\r\n"
	cursor, n, err := scanReply(bufio.NewReader(strings.NewReader("*2\r\n$3\r\n170\r\n*2\r\n" + key + key)))
	if err != nil || cursor != "170" || n != 2 {
		t.Errorf("%q, %d, %v", cursor, n, err)
	}
	for _, bad := range []string{"-ERR no\r\n", "*2\r\n$0\r\n\r\n*0\r\n", "*2\r\n$1\r\n0\r\n*1\r\n$2\r\nab\r\n", "*3\r\n", "*2\r\n$1\r\n0\r\n", "*2\r\n$1\r\n0\r\n*1\r\n" + key[:20]} {
		if _, _, err := scanReply(bufio.NewReader(strings.NewReader(bad))); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
