package store

// Anew is the generation that is built from nothing in place of g, which would be resumed but must not be: what it holds
// cannot be brought up to the log's present state by reading on. Prepare removes g's directory once the new one is
// described. Of a generation that is new already only the reason changes.
func (g Generation) Anew(reason string) Generation {
	if g.Reason == "" {
		g.Replaces = append([]string{g.Dir}, g.Replaces...)
		g.Dir = g.beside
	}
	g.Reason = reason
	return g
}
