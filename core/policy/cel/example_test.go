package cel_test

import (
	"fmt"

	"github.com/yolean/kafka-cache/core/policy"
	"github.com/yolean/kafka-cache/core/policy/cel"
)

func ExampleCompile() {
	rule, err := cel.Compile(`!has(oldSelf.version) || self.version >= oldSelf.version`)
	if err != nil {
		fmt.Println(err)
		return
	}
	first := &policy.Mutation{Key: []byte("ada"), Self: []byte(`{"version": 2}`)}
	newer := &policy.Mutation{Key: []byte("ada"), Self: []byte(`{"version": 3}`), OldSelf: first.Self, Exists: true}
	older := &policy.Mutation{Key: []byte("ada"), Self: []byte(`{"version": 1}`), OldSelf: first.Self, Exists: true}
	none := &policy.Mutation{Key: []byte("ada"), Self: []byte(`{}`), OldSelf: first.Self, Exists: true}
	for _, m := range []*policy.Mutation{first, newer, older, none} {
		fmt.Println(rule.Check(m))
	}
	_, err = cel.Compile(`self.version >= oldself.version`)
	fmt.Println(err)
	// Output:
	// <nil>
	// <nil>
	// the rule does not hold
	// the rule cannot be evaluated: no such key: version
	// compile rule: 1:17: undeclared reference to 'oldself' (did you mean 'oldSelf'?)
}
