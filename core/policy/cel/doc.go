// Package cel compiles expressions of the Common Expression Language to mutation rules.
//
// An expression says, as a bool, whether a key's value may become another:
//
//	!has(oldSelf.version) || self.version >= oldSelf.version
//
//	self           dyn        the value that the key would get
//	oldSelf        dyn        the value that it has; {} where it has none, so that has(oldSelf.x) is false
//	key            string     the key; a rule that looks at one that is not UTF-8 refuses
//	meta.exists    bool       whether it has a value: an oldSelf of {} can also be one
//	meta.topic     string     of the record that leads to it, as are the others
//	meta.partition int
//	meta.offset    int
//	meta.timestamp timestamp  in UTC
//	meta.headers   map(string, string)   the last of a name counts; a header without a value reads ""
//
// A value that is JSON is a map, a list, a string, a bool, null, or a number: an integer that is written without a point and
// an exponent is an int, or a uint where it is larger than any int, and is compared exactly; every other number is a double, as
// near as there is one. An integer beyond uint, or a number beyond double, equals only what is written the same, and to order it is an
// error. Ints, uints and doubles compare and are equal as numbers (1 == 1.0), as CEL has it; arithmetic wants both sides of one kind. has(self.x) is true
// for a member that is null. Of members with one name the last counts. A value that is not JSON is a string, or bytes where it is not
// UTF-8; [Opaque] takes all values so.
//
// The language is CEL's standard, with optional values (self.?version.orValue(0)) and with the functions charAt, indexOf,
// lastIndexOf, lowerAscii, replace, split, substring, trim and upperAscii of strings. Regular expressions, and what is looked
// for by indexOf, lastIndexOf and replace, or put in by it, are literals: what a value says must not decide how long a rule takes. For
// the same reason an evaluation may take a million steps, as CEL counts them.
//
// A rule refuses where it is false, and also where it cannot be evaluated, as where it compares a number to a string, or selects a
// member that is not there: that is what has() is for.
//
// Values are parsed into places (package jsondoc), and only what an expression looks at becomes a value of CEL.
package cel
