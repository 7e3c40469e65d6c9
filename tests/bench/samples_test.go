package main

import "testing"

func TestSamples(t *testing.T) {
	for _, c := range []struct {
		s    samples
		want string
	}{
		{nil, "—"},
		{samples{2}, "2.0"},
		{samples{3, 1, 2}, "2.0 (1.0–3.0)"},
		{samples{4, 1, 2, 3}, "2.5 (1.0–4.0)"},
		{samples{6, 4}.over(samples{2, 4}), "2.0 (1.0–3.0)"},
		{samples{1, 3}.scaled(2), "4.0 (2.0–6.0)"},
	} {
		if got := c.s.show("%.1f"); got != c.want {
			t.Errorf("%v shows as %q, not %q", c.s, got, c.want)
		}
	}
}
