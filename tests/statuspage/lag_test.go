package statuspage

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestPageFollowsALag: a record that a rule refuses stops the topic, so that what comes behind it is lag. The page that is open shows it, in records
// and in seconds, in the table and in the plots, and shows that it is over once the record is gone. A page that is opened afterwards has the lag in its history.
func TestPageFollowsALag(t *testing.T) {
	c := kafkatest.Shared(t)
	topic := c.NewTopic(t, 1, map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "-1"})
	c.Produce(t, &kgo.Record{Topic: topic, Key: []byte("a"), Value: []byte(`{"n":1}`)})
	file := filepath.Join(t.TempDir(), "config.yaml")
	config := fmt.Sprintf("version: 1\ntopics:\n  - name: %s\n    validate:\n      read: {schema: '{\"type\": \"object\"}', on-invalid: stop}\n", topic)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	d := daemontest.Start(t, "--config", file, "--kafka-bootstrap", c.Addr(), "--identity", "test."+topic)
	d.WaitReady()

	b := newTab(t, desk)
	b.open("http://" + d.AdminAddr + "/")
	b.await("the page is live", `document.getElementById('connection').textContent === 'live'`)
	cell := func(name string) string {
		return fmt.Sprintf(`document.querySelector('[data-cell="%s"]').textContent`, name)
	}
	const newest, most = "newest", "most"
	plot := func(prefix, what string) string {
		return fmt.Sprintf(`+document.querySelector('figure[data-plot="%s/%s/"] .plot').dataset.%s`, prefix, topic, what)
	}
	b.await("there is no lag", cell("t0.p0.lag")+` === '0' && `+plot("lag", newest)+` === 0`)

	records := []*kgo.Record{{Topic: topic, Key: []byte("a"), Value: []byte(`[]`)}}
	for i := range 99 {
		records = append(records, &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", i), Value: []byte(`{}`)})
	}
	c.Produce(t, records...)
	b.await("the table has the lag", cell("t0.p0.lag")+` === '100' && +`+cell("t0.p0.lagSeconds")+` > 3`)
	b.await("the overview has it", cell("lag")+` === '100' && +`+cell("lagSeconds")+` > 3`)
	b.await("the plots have it", plot("lag", newest)+` === 100 && `+plot("lagSeconds", newest)+` > 3`)
	b.await("it is said why", cell("reason")+`.includes('on-invalid')  || `+cell("reason")+`.includes('stop')`)
	s := d.Status().Topics[0].Partitions[0]
	if s.Lag != 100 || s.LagSeconds < 3 {
		t.Errorf("/api/v1/status has a lag of %d, %.1f s", s.Lag, s.LagSeconds)
	}
	if found := b.violations(); len(found) > 0 {
		t.Errorf("axe-core finds %q", found)
	}

	c.DeleteRecords(t, topic, 0, 2)
	b.await("the lag is over", cell("t0.p0.lag")+` === '0' && `+plot("lag", newest)+` === 0 && `+cell("t0.keys")+` === '99'`)

	later := newTab(t, desk)
	later.open("http://" + d.AdminAddr + "/")
	later.await("the history is there", plot("lag", most)+` === 100 && `+plot("lag", newest)+` === 0`)
	b.quietAndAtHome(d.AdminAddr)
	later.quietAndAtHome(d.AdminAddr)
}
