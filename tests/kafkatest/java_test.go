package kafkatest

import "testing"

func TestJavaMajor(t *testing.T) {
	for _, c := range []struct {
		printed string
		want    int
		ok      bool
	}{
		{`openjdk version "17.0.15" 2025-04-15`, 17, true},
		{`openjdk version "25" 2025-09-16 LTS`, 25, true},
		{"Picked up JAVA_TOOL_OPTIONS: -Xmx1g\njava version \"1.8.0_412\"", 8, true},
		{`openjdk version "9.0.4"`, 9, true},
		{`openjdk version "24-ea" 2025-03-18`, 24, true},
		{`command not found`, 0, false},
	} {
		got, ok := javaMajor([]byte(c.printed))
		if got != c.want || ok != c.ok {
			t.Errorf("javaMajor(%q) = %d, %v; want %d, %v", c.printed, got, ok, c.want, c.ok)
		}
	}
}
