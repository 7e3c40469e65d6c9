package main

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yolean/kafka-cache/admin"
)

// newAdmin makes the HTTP side, which shows what the other parts know.
func (d *daemon) newAdmin(m material, metrics *prometheus.Registry) error {
	var configuration strings.Builder
	if err := d.cfg.WriteEffective(&configuration); err != nil {
		return err
	}
	var err error
	d.admin, err = admin.New(admin.Config{
		Cache:         d.cache,
		Registry:      metrics,
		MaxStaleness:  d.cfg.ReadyMaxStaleness,
		Peers:         d.peers,
		Commands:      d.commands,
		Configuration: configuration.String(),
		MemoryLimit:   d.memoryLimit,
		TLS:           d.reload.adminTLS(),
		Tokens:        m.adminTokens,
		Logger:        d.log,
	})
	d.reload.admin = d.admin
	return err
}

// peers is what the status says of other instances.
func (d *daemon) peers() *admin.Peers {
	r := d.resp.Peers()
	if r == nil {
		return nil
	}
	p := &admin.Peers{Connected: r.Connected, Dropped: r.Dropped, Lookups: r.Lookups, Addresses: make([]admin.Peer, 0, len(r.Addresses))}
	for _, a := range r.Addresses {
		p.Addresses = append(p.Addresses, admin.Peer{Addr: a.Addr, State: a.State, Since: a.Since, Identity: a.Identity, Instance: a.Instance,
			Reason: a.Reason, Error: a.Error, AgeSeconds: a.AgeSeconds, Positions: a.Positions})
	}
	return p
}

// commands is what the status page's plots are made from.
func (d *daemon) commands() admin.CommandTotals {
	t := d.resp.CommandTotals()
	return admin.CommandTotals{Bounds: t.Bounds, Counts: t.Counts, Failed: t.Failed}
}
