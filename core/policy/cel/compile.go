package cel

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"

	"github.com/yolean/kafka-cache/core/policy"
)

// library is what evaluates; it is part of a rule's name, since another version may decide otherwise.
const library = "cel.dev/cel-go v0.33.2"

// maxCost is how many steps an evaluation may take, as CEL counts them: some tens of milliseconds.
const maxCost = 1_000_000

// maxPattern is how large a regular expression may be, in instructions.
const maxPattern = 1000

// Option is how values are read.
type Option func(*rule)

// Opaque takes values as strings, or bytes where they are not UTF-8, whatever is in them. It is for values whose encoding is not JSON:
// 12 and true are strings then.
func Opaque() Option { return func(r *rule) { r.opaque = true } }

// Compile makes a rule of an expression, which has to be a bool. An error names line and column.
//
// The rule's Check refuses a change for which the expression is false or cannot be evaluated. It is safe for concurrent use.
func Compile(expression string, opts ...Option) (*policy.MutationRule, error) {
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("compile rule: %w", err)
	}
	checked, issues := env.Compile(expression)
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("compile rule: %w", explain(issues, err))
	}
	if out := checked.OutputType(); !out.IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("compile rule: 1:1: it is of type %s, not bool%s", out, hint(out))
	}
	loops, err := examine(checked)
	if err != nil {
		return nil, fmt.Errorf("compile rule: %w", err)
	}
	// Of what CEL can optimize only this: its sets of literals fail on bytes.
	options := []cel.ProgramOption{cel.OptimizeRegex(interpreter.MatchesRegexOptimization)}
	if loops { // without, the time is bounded by the expression and the values
		options = append(options, cel.CostLimit(maxCost))
	}
	program, err := env.Program(checked, options...)
	if err != nil {
		return nil, fmt.Errorf("compile rule: %w", err)
	}
	sum := sha256.Sum256([]byte(expression))
	name := "cel sha256:" + hex.EncodeToString(sum[:16]) + ", " + library
	r := &rule{program: program}
	for _, o := range opts {
		o(r)
	}
	if r.opaque {
		name += ", values opaque"
	}
	return &policy.MutationRule{Name: name, Check: r.check}, nil
}

func environment() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("self", cel.DynType),
		cel.Variable("oldSelf", cel.DynType),
		cel.Variable("key", cel.StringType),
		cel.Variable("meta.exists", cel.BoolType),
		cel.Variable("meta.topic", cel.StringType),
		cel.Variable("meta.partition", cel.IntType),
		cel.Variable("meta.offset", cel.IntType),
		cel.Variable("meta.timestamp", cel.TimestampType),
		cel.Variable("meta.headers", cel.MapType(cel.StringType, cel.StringType)),
		cel.OptionalTypes(),
		ext.Strings(ext.StringsVersion(0)),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals()),
		cel.RegexProgramSizeLimit(maxPattern),
	)
}

// explain is the first of the faults, as line:column, both from 1.
func explain(issues *cel.Issues, err error) error {
	all := issues.Errors()
	if len(all) == 0 {
		return err
	}
	first := all[0]
	more := ""
	if len(all) > 1 {
		more = fmt.Sprintf(" (and %d more)", len(all)-1)
	}
	return fmt.Errorf("%d:%d: %s%s", first.Location.Line(), first.Location.Column()+1, policy.Line(first.Message), more)
}

func hint(t *cel.Type) string {
	if t.IsExactType(cel.DynType) {
		return ": compare it, as with == true"
	}
	return ""
}

// literal says of which functions which arguments, counted from 0 behind the target, have to be literals.
var literal = map[string][]int{
	"matches":     {0},
	"indexOf":     {0},
	"lastIndexOf": {0},
	"replace":     {0, 1},
}

// examine finds out whether the expression has loops, and refuses what could make a single call take any time.
func examine(checked *cel.Ast) (loops bool, err error) {
	info := checked.NativeRep().SourceInfo()
	ast.PreOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.ComprehensionKind:
			loops = true
		case ast.CallKind:
			call := e.AsCall()
			args := call.Args()
			if call.FunctionName() == "matches" && !call.IsMemberFunction() && len(args) > 0 {
				args = args[1:]
			}
			for i, a := range args {
				if err == nil && a.Kind() != ast.LiteralKind && slices.Contains(literal[call.FunctionName()], i) {
					at := info.GetStartLocation(a.ID())
					err = fmt.Errorf("%d:%d: what %s is given has to be a literal", at.Line(), at.Column()+1, call.FunctionName())
				}
			}
		}
	}))
	return loops, err
}

// errFalse is the reason of a change that the expression says no to.
var errFalse = errors.New("the rule does not hold")
