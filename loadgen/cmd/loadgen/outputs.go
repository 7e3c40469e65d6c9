package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// outputs are where results go beside the text. Files are created before the run, so that it is not lost to a wrong path.
type outputs struct {
	jsonFile, hdrFile, htmlFile, listen string

	json, hdr, html *os.File
	registry        *prometheus.Registry // nil: no metrics
	listener        net.Listener
	server          *http.Server
}

func (o *outputs) register(f *flag.FlagSet) {
	f.StringVar(&o.jsonFile, "json", "", "`file` for the results as JSON, - for the standard output")
	f.StringVar(&o.hdrFile, "hdr", "", "`file` for the latencies as an HdrHistogram log (.hlog), an interval a second")
	f.StringVar(&o.htmlFile, "html", "", "`file` for a report with plots, which opens without a server or a network")
}

// registerMetrics registers the option of the metrics' endpoint.
func (o *outputs) registerMetrics(f *flag.FlagSet) {
	f.StringVar(&o.listen, "metrics-listen", "", "`host:port` to serve Prometheus metrics at, while it runs (default: nowhere)")
}

func (o *outputs) open() error {
	var err error
	create := func(into **os.File, file string) {
		if file != "" && file != "-" && err == nil {
			*into, err = os.Create(file)
		}
	}
	create(&o.json, o.jsonFile)
	create(&o.hdr, o.hdrFile)
	create(&o.html, o.htmlFile)
	if err == nil && o.listen != "" {
		err = o.serve()
	}
	if err != nil {
		o.close()
	}
	return err
}

// serve answers /metrics.
func (o *outputs) serve() error {
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("--metrics-listen: %w", err)
	}
	o.listener, o.registry = l, prometheus.NewRegistry()
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	o.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = o.server.Serve(l) }() // it ends with Close
	return nil
}

// listening is where metrics are.
func (o *outputs) listening() string { return o.listener.Addr().String() }

// hdrWriter is nil where no log is wanted.
func (o *outputs) hdrWriter() io.Writer {
	if o.hdr == nil {
		return nil
	}
	return o.hdr
}

// text is where people's text goes: not between the JSON.
func (o *outputs) text(stdout, stderr io.Writer) io.Writer {
	if o.jsonFile == "-" {
		return stderr
	}
	return stdout
}

// write writes a result, with its HTML where that is wanted.
func (o *outputs) write(stdout io.Writer, result any, page func(io.Writer) error) error {
	var errs []error
	var to io.Writer = o.json
	if o.jsonFile == "-" {
		to = stdout
	}
	if o.jsonFile != "" {
		b, err := json.MarshalIndent(result, "", "  ")
		if err == nil {
			_, err = to.Write(append(b, '\n'))
		}
		errs = append(errs, err)
	}
	if o.html != nil {
		errs = append(errs, page(o.html))
	}
	for _, f := range []**os.File{&o.json, &o.hdr, &o.html} {
		if *f != nil {
			errs = append(errs, (*f).Close())
			*f = nil
		}
	}
	return errors.Join(errs...)
}

func (o *outputs) close() {
	for _, f := range []*os.File{o.json, o.hdr, o.html} {
		if f != nil {
			f.Close()
		}
	}
	if o.server != nil {
		o.server.Close()
	}
}
