package main

import (
	"fmt"
	"net"
	"strings"

	"github.com/yolean/kafka-cache/core/sample"
	"github.com/yolean/kafka-cache/respserver/cmd/kafka-cache/internal/dev"
)

// banner prints three lines to try, with ids that are there.
func (d *daemon) banner() {
	cli := d.redisCLI()
	user, organization := dev.Model.User(0), dev.Model.Organization(0)
	third := fmt.Sprintf("%s -n 2 SCAN 0", cli)
	what := "sessions, which come and go"
	if !d.cfg.ReadOnly {
		user.DisplayName, user.Email, user.Groups = "Your Name", nil, user.Groups[:1] // a short line
		value, err := sample.Encode(user)
		if err != nil {
			d.log.Error("encode a user for the banner", "error", err)
			return
		}
		third, what = fmt.Sprintf("%s SET %s '%s'", cli, user.ID, value), "a write goes to the log, and comes back from it"
	}
	fmt.Fprintf(d.stdout, `
kafka-cache is serving made-up data from a broker in this process: for development only.

  %s GET %s      # a user
  %s -n 1 GET %s # an organization
  %s
      # %s

  status: http://%s/

`, cli, user.ID, cli, organization.ID, third, what, browsable(d.adminListener.Addr()))
}

// redisCLI is redis-cli with what it takes to connect here.
func (d *daemon) redisCLI() string {
	words := []string{"redis-cli"}
	host, port, err := net.SplitHostPort(browsable(d.respListener.Addr()))
	if err != nil {
		return words[0]
	}
	if host != "127.0.0.1" {
		words = append(words, "-h", host)
	}
	if port != "6379" {
		words = append(words, "-p", port)
	}
	if d.cfg.RESPTLSCert != "" {
		words = append(words, "--tls", "--insecure")
	}
	if d.cfg.RESPTLSClientCA != "" {
		words = append(words, "--cert", "FILE", "--key", "FILE") // the client's own
	}
	if d.cfg.RESPPasswordFile != "" {
		words = append(words, "--no-auth-warning", "-a", `"$(head -n 1 '`+d.cfg.RESPPasswordFile+`')"`)
	}
	return strings.Join(words, " ")
}

// browsable is addr, with loopback where it stands for every interface.
func browsable(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", fmt.Sprint(tcp.Port))
	}
	return addr.String()
}
