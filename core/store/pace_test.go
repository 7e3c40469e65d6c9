package store

// underRace is how often something is done: less with the race detector, which is about ten times as slow.
func underRace(without, with int) int {
	if raceEnabled {
		return with
	}
	return without
}
