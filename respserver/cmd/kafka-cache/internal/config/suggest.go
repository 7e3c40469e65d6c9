package config

// suggest is the option that name is most probably meant to be, or empty.
func suggest(name string) string {
	if len(name) > 64 {
		return ""
	}
	if find(name+"-file") != nil {
		return name + "-file"
	}
	best, bestDistance := "", 3
	for i := range options {
		if d := distance(name, options[i].name); d < bestDistance && d < len(name)/2 {
			best, bestDistance = options[i].name, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
