package kafkatest

import "testing"

func TestFindVersion(t *testing.T) {
	t.Setenv("KAFKATEST_VERSION", "")
	for _, c := range []struct{ asked, want string }{{"", DefaultVersion}, {"4.1", "4.1.1"}, {"4.1.1", "4.1.1"}, {"3.9", "3.9.2"}, {"3", "3.9.2"}} {
		v, err := findVersion(c.asked)
		if err != nil || v.name != c.want {
			t.Errorf("findVersion(%q) = %q, %v; want %q", c.asked, v.name, err, c.want)
		}
	}
	if v, err := findVersion("3.91"); err == nil {
		t.Errorf("3.91 is taken for %s", v.name)
	}
	t.Setenv("KAFKATEST_VERSION", "3.9")
	if v, err := findVersion(""); err != nil || v.name != "3.9.2" {
		t.Errorf("from the environment: %q, %v", v.name, err)
	}
	if v, err := findVersion("4.1"); err != nil || v.name != "4.1.1" {
		t.Errorf("an option does not win over the environment: %q, %v", v.name, err)
	}
	for _, v := range versions {
		if _, err := poms.ReadFile("poms/kafka-" + v.name + ".xml"); err != nil {
			t.Error(err)
		}
	}
}
