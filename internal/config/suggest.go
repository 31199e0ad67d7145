package config

import "strings"

// didYouMean is "; did you mean X?" if one of the known names is near enough, else "".
func didYouMean(name string, known []string) string {
	if best := nearest(name, known); best != "" {
		return "; did you mean " + best + "?"
	}
	return ""
}

// nearest is the known name that takes the fewest keystrokes to get to, if
// that is no more than a third of its length; or else the only one whose last
// part is the same. "" if there is none.
func nearest(name string, known []string) string {
	best, fewest := "", 1<<30
	for _, candidate := range known {
		// Capitals are what people get wrong most; they count for nothing.
		d := distance(strings.ToLower(name), strings.ToLower(candidate))
		if d < fewest && d <= max(1, len(candidate)/3) {
			best, fewest = candidate, d
		}
	}
	if best != "" {
		return best
	}
	for _, candidate := range known {
		if strings.EqualFold(lastPart(candidate), lastPart(name)) {
			if best != "" {
				return ""
			}
			best = candidate
		}
	}
	return best
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// maxCompared bounds the work that a name from the file can cause, in bytes.
const maxCompared = 100

// distance is Levenshtein's: insertions, deletions and replacements of bytes.
func distance(a, b string) int {
	if len(a) > maxCompared || len(b) > maxCompared {
		return max(len(a), len(b))
	}
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
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
