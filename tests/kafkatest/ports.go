package kafkatest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
)

// Brokers keep their port across restarts, so it must not be one that the system
// gives to outgoing connections meanwhile: those start at the lower end of
// ip_local_port_range.
const lowestPort = 12000

var ports struct {
	sync.Mutex
	taken map[int]bool
}

// FreeAddrs finds addresses on loopback for servers that keep theirs across restarts: nothing listens there, the system does not give them to
// outgoing connections, and this process has not handed them out before.
func FreeAddrs(n int) ([]string, error) {
	found, err := freePorts(n)
	addrs := make([]string, len(found))
	for i, p := range found {
		addrs[i] = fmt.Sprintf("127.0.0.1:%d", p)
	}
	return addrs, err
}

// freePorts finds n ports on loopback that nothing listens on and that this
// process has not handed out before.
func freePorts(n int) ([]int, error) {
	low, high := lowestPort, 32768
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		var first, last int
		if _, err := fmt.Sscan(string(b), &first, &last); err == nil {
			high = first
		}
	}
	if high-low < 1000 { // a system with an unusual range
		low, high = 1024, 65535
	}
	ports.Lock()
	defer ports.Unlock()
	if ports.taken == nil {
		ports.taken = map[int]bool{}
	}
	var found []int
	for range 1000 {
		if len(found) == n {
			return found, nil
		}
		p := low + rand.IntN(high-low)
		if ports.taken[p] {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			continue
		}
		l.Close()
		ports.taken[p] = true
		found = append(found, p)
	}
	return nil, fmt.Errorf("no %d free ports between %d and %d", n, low, high)
}
