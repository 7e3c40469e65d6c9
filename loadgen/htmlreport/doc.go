// Package htmlreport draws results as one HTML file that needs nothing else: no script, no network.
package htmlreport
