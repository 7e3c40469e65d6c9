package store

// Anew is the generation that is built from nothing in place of g, which would be resumed but must not be: what it holds
// cannot be brought up to the log's present state by reading on. Where g is complete it becomes Previous: who calls Anew because
// what g holds is damaged, or is no older state of the log, sets Previous to "". Where g is not complete, its Previous stays. Of a
// generation that is new already only the reason changes.
func (g Generation) Anew(reason string) Generation {
	if g.Reason == "" {
		g.Replaces = append([]string{g.Dir}, g.Replaces...)
		if g.Unfinished == "" {
			g.Previous, g.PreviousRules = g.Dir, g.identity.Rules
		}
		g.Dir, g.Unfinished = g.beside, ""
	}
	g.Reason = reason
	return g
}
