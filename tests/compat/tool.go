package compat

import "context"

// Tool is a program, or the frames of one, that is tried by checks of its own.
type Tool struct {
	Name   string
	Frames bool // only what it sends is known
	// Version asks the program, and fails where there is none.
	Version func(ctx context.Context) (string, error)
	Checks  []Check
}

// Check is one thing that a tool does. Its note is what was seen.
type Check struct {
	Name string
	Do   func(ctx context.Context, s *Stage, prefix string) (note string, err error)
}

// Tools are all that are tried.
func Tools() []Tool { return []Tool{redisCLI(), redisBenchmark(), memtier(), redisInsight()} }

// TryTool tries one tool. An error is of the stage; what the tool did is in the report.
func (s *Stage) TryTool(ctx context.Context, t Tool) (Report, error) {
	r := Report{Name: t.Name, Replaying: t.Frames}
	if t.Version != nil {
		v, err := t.Version(ctx)
		if err != nil {
			r.NotHad = err.Error()
			return r, ctx.Err()
		}
		r.Version = v
	}
	const prefix = "truth:tools:"
	if err := s.seed(ctx, prefix); err != nil {
		return r, err
	}
	for _, c := range t.Checks {
		note, err := c.Do(ctx, s, prefix)
		if err != nil {
			note = err.Error()
		}
		r.Results = append(r.Results, Result{Column: c.Name, OK: err == nil, Note: note})
	}
	return r, ctx.Err()
}
