package netns

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// network are namespaces that see each other and nothing else: what the test runs in has no way into them but through a thread that goes there.
type network struct {
	t      *testing.T
	prefix string
	hub    string // the namespace with the bridge, where the broker is
}

const hubAddr = "10.77.0.1"

// newNetwork needs what it names, and otherwise ends the test.
func newNetwork(t *testing.T) *network {
	t.Helper()
	if missing := lacking(); missing != "" {
		t.Skip("NOT TESTED: pods in network namespaces, since " + missing) // make test shows it
	}
	n := &network{t: t, prefix: fmt.Sprintf("kc%d", os.Getpid())}
	n.hub = n.add("kafka")
	n.in(n.hub, "link", "add", "bridge", "type", "bridge")
	n.in(n.hub, "addr", "add", hubAddr+"/24", "dev", "bridge")
	n.in(n.hub, "link", "set", "bridge", "up")
	return n
}

// lacking is why there can be no namespaces; "" where there can.
func lacking() string {
	if os.Geteuid() != 0 {
		return "that takes root"
	}
	for _, tool := range []string{"ip", "setpriv"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "there is no " + tool + " (Debian: iproute2, util-linux)"
		}
	}
	probe := fmt.Sprintf("kcprobe%d", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", probe).CombinedOutput(); err != nil {
		return fmt.Sprintf("ip netns add: %v: %s", err, strings.TrimSpace(string(out)))
	}
	if out, err := exec.Command("ip", "netns", "del", probe).CombinedOutput(); err != nil {
		return fmt.Sprintf("ip netns del: %v: %s", err, strings.TrimSpace(string(out)))
	}
	return ""
}

func (n *network) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

func (n *network) in(namespace string, args ...string) {
	n.t.Helper()
	n.ip(append([]string{"-n", namespace}, args...)...)
}

// add makes a namespace with its loopback up; it is removed when the test ends.
func (n *network) add(name string) string {
	n.t.Helper()
	namespace := n.prefix + "-" + name
	n.ip("netns", "add", namespace)
	n.t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", namespace).CombinedOutput(); err != nil {
			n.t.Errorf("ip netns del %s: %v: %s", namespace, err, out)
		}
	})
	n.in(namespace, "link", "set", "lo", "up")
	return namespace
}

// pod is a namespace on the bridge.
type pod struct {
	name, namespace, addr string
}

// pods makes them, each with the /etc/hosts of all: services are names with the addresses of pods.
func (n *network) pods(services map[string][]string, names ...string) map[string]pod {
	n.t.Helper()
	all := map[string]pod{}
	for i, name := range names {
		p := pod{name, n.add(name), fmt.Sprintf("10.77.0.%d", 10+i)}
		inside := fmt.Sprintf("to%d", i)
		n.in(n.hub, "link", "add", inside, "type", "veth", "peer", "name", "eth0", "netns", p.namespace)
		n.in(n.hub, "link", "set", inside, "master", "bridge", "up")
		n.in(p.namespace, "addr", "add", p.addr+"/24", "dev", "eth0")
		n.in(p.namespace, "link", "set", "eth0", "up")
		all[name] = p
	}
	hosts := "127.0.0.1 localhost\n" + hubAddr + " kafka\n"
	for service, members := range services {
		for _, m := range members {
			hosts += all[m].addr + " " + service + "\n"
		}
	}
	for _, p := range all { // ip netns exec lays these files over those in /etc
		dir := filepath.Join("/etc/netns", p.namespace)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			n.t.Fatal(err)
		}
		n.t.Cleanup(func() {
			_ = os.RemoveAll(dir)
			_ = os.Remove("/etc/netns") // where nothing else is in it
		})
		for file, text := range map[string]string{"hosts": hosts, "resolv.conf": "", "nsswitch.conf": "hosts: files\n"} {
			if _, err := os.Stat(filepath.Join("/etc", file)); err != nil {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				n.t.Fatal(err)
			}
		}
	}
	return all
}

// within runs f on a thread that is in the namespace. A socket belongs to the namespace that it was made in, whoever uses it later.
func within(namespace string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and not unlocked where the thread cannot go back: it ends with the goroutine then
		done <- func() error {
			home, err := os.Open("/proc/thread-self/ns/net")
			if err != nil {
				return err
			}
			defer home.Close()
			there, err := os.Open(filepath.Join("/run/netns", namespace))
			if err != nil {
				return err
			}
			defer there.Close()
			if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("go to %s: %w", namespace, err)
			}
			err = f()
			if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
				return fmt.Errorf("come back from %s: %w", namespace, back)
			}
			runtime.UnlockOSThread()
			return err
		}()
	}()
	return <-done
}

// dial connects from a namespace to an address, which is no name: then the connection is made on this thread.
func dial(namespace, addr string) (conn net.Conn, err error) {
	err = within(namespace, func() error {
		conn, err = net.DialTimeout("tcp", addr, patience)
		return err
	})
	return conn, err
}

// listen listens in a namespace.
func listen(namespace, addr string) (l net.Listener, err error) {
	err = within(namespace, func() error {
		l, err = net.Listen("tcp", addr)
		return err
	})
	return l, err
}
