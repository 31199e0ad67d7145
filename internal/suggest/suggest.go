// Package suggest finds the word that somebody may have meant.
package suggest

import "strings"

// Nearest is the known word that takes the fewest keystrokes to get to, if
// that is no more than a third of its length; "" if there is none. Capitals
// are what people get wrong most: they count for nothing.
func Nearest(word string, known []string) string {
	best, fewest := "", 1<<30
	for _, candidate := range known {
		d := distance(strings.ToLower(word), strings.ToLower(candidate))
		if d < fewest && d <= max(1, len(candidate)/3) {
			best, fewest = candidate, d
		}
	}
	return best
}

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
