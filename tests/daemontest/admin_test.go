package daemontest

import "testing"

func TestSumSamples(t *testing.T) {
	text := []byte(`# HELP x a counter
# TYPE x counter
x{topic="a",partition="0"} 3
x{topic="a",partition="1"} 4
x{topic="ab",partition="1"} 1e2
x_bucket{le="1"} 9
y 7
`)
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"x", nil, 107},
		{"x", []string{"topic=a"}, 7},
		{"x", []string{"topic=a", "partition=1"}, 4},
		{"x", []string{"topic=b"}, 0},
		{"y", nil, 7},
		{"z", nil, 0},
	} {
		if got, _, err := SumSamples(text, c.name, c.labels); err != nil || got != c.want {
			t.Errorf("%s %v: %v, %v; want %v", c.name, c.labels, got, err, c.want)
		}
	}
	if _, _, err := SumSamples([]byte("x nonsense\n"), "x", nil); err == nil {
		t.Error("nonsense is a number")
	}
}
