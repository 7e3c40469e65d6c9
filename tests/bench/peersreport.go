package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// title names a topic in the page.
func (t *peerTopic) title() string {
	partitions := "1 partition"
	if t.partitions > 1 {
		partitions = fmt.Sprintf("%d partitions", t.partitions)
	}
	if t.codec == "none" {
		return partitions + ", not compressed"
	}
	return partitions + ", " + t.codec
}

// Targets of the cold load as so many times the rate of others: to ready in memory, to durable with a data directory.
var (
	wantLoadOverPeer  = map[string]float64{peerTable: 4, peerGoka: 8, peerKCache: 8}
	wantLoadOverFetch = map[int32]float64{1: 0.5, 4: 0.4}
	wantDurable       = 0.9 / 2.8 // of the raw fetch, one partition
)

func (p *peerLoads) section() section {
	s := section{
		title: "Cold load next to others",
		text: []string{
			fmt.Sprintf("%s records with different keys (%d B keys, %d B JSON values) in batches of up to %d KiB before compression, in partitions as Java's clients choose them. "+
				"The time is from the start of the process, nothing subtracted, until it says that it is ready, and behind that until kafka-cache's log says that the load is durable. It is then asked for 100 keys, and kafka-cache for its number of keys too; kcat and the raw fetch end after the last record. "+
				"Everything reads `read_committed` and runs on its defaults, but for two: kcache is read-only, since it writes to the topic otherwise, and the npm library, which is the original of this project, logs warnings alone. The latter reads one partition and no more.",
				thousands(p.peerEntries), keySize, valueSize, p.batchBytes>>10),
			"The raw fetch is sarama's `Broker.Fetch`, the client that kafka-cache is built on, with a connection and one request in flight for each partition: it decodes every record and keeps none. kcat is a consumer in C, which prints the values to /dev/null.",
		},
	}
	if len(p.without) > 0 {
		s.text = append(s.text, "**Left out of this run:** "+strings.Join(p.without, ", ")+".")
	}
	rates := barPlot{file: "cold-load", title: "Cold load from process start to ready", unit: "M records/s"}
	for _, t := range p.topics {
		tab := table{
			title: fmt.Sprintf("%s (%.0f MB in the log):", t.title(), float64(t.logBytes)/1e6),
			head:  []string{"", "time, kafka-cache in memory = 1", "M records/s", "s to ready", "s to durable", "CPU µs a record", "resident MB when ready", "peak MB"},
		}
		group := barGroup{name: t.title()}
		ours := t.figures[ourMemory].seconds
		for _, c := range p.candidates {
			f := t.figures[c.name]
			if len(f.seconds) == 0 {
				continue
			}
			rate := f.seconds.rate(p.peerEntries)
			tab.rows = append(tab.rows, []string{
				c.name, f.seconds.over(ours).show("%.2f"), rate.scaled(1e-6).show("%.2f"), f.seconds.show("%.2f"), f.durable.show("%.2f"),
				f.cpuSeconds.scaled(1e6 / float64(p.peerEntries)).show("%.2f"), f.resident.scaled(1e-6).show("%.0f"), f.peak.scaled(1e-6).show("%.0f"),
			})
			group.bars = append(group.bars, bar{c.name, rate.scaled(1e-6).median()})
		}
		s.tables = append(s.tables, tab)
		rates.groups = append(rates.groups, group)
		s.targets = append(s.targets, p.targets(t, ours)...)
	}
	s.plots = append(s.plots, rates)
	return s
}

func (p *peerLoads) targets(t *peerTopic, ours samples) []target {
	var all []target
	want := func(what string, base, ours samples, least float64) {
		if len(base) == 0 || len(ours) == 0 {
			return
		}
		over := base.over(ours)
		all = append(all, target{what, fmt.Sprintf("at least %.2g", least), over.show("%.2f"), over.median() >= least})
	}
	if t.codec != "lz4" {
		return nil
	}
	if t.partitions == 1 {
		for _, peer := range slices.Sorted(maps.Keys(wantLoadOverPeer)) {
			if f := t.figures[peer]; f != nil {
				want("cold load in memory, "+t.title()+", next to "+peer, f.seconds, ours, wantLoadOverPeer[peer])
			}
		}
	}
	fetch := t.figures[peerFetch].seconds
	want("cold load in memory, "+t.title()+", next to a raw `Broker.Fetch`", fetch, ours, wantLoadOverFetch[t.partitions])
	if t.partitions == 1 {
		want("cold load to durable, "+t.title()+", next to a raw `Broker.Fetch`", fetch, t.figures[ourDirectory].durable, wantDurable)
	}
	return all
}
