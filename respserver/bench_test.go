package respserver

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// BenchmarkEcho is what the connection loop and the kernel take for a command, over one connection.
func BenchmarkEcho(b *testing.B) {
	for _, pipeline := range []int{1, 16} {
		b.Run(fmt.Sprintf("pipeline=%d", pipeline), func(b *testing.B) {
			f := start(b, nil)
			nc, err := net.Dial("tcp", f.addr)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = nc.Close() }()
			value := strings.Repeat("v", 200)
			in := []byte(strings.Repeat(frame("echo", value), pipeline))
			reply := make([]byte, len("$200\r\n"+value+"\r\n")*pipeline)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += pipeline {
				if _, err := nc.Write(in); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(nc, reply); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
