package config

import (
	"strings"

	"github.com/watch-docker/watch-docker/internal/suggest"
)

// didYouMean is "; did you mean X?" if one of the known names is near enough, else "".
func didYouMean(name string, known []string) string {
	if best := nearest(name, known); best != "" {
		return "; did you mean " + best + "?"
	}
	return ""
}

// nearest is the known name that is nearest, or else the only one whose last
// part is the same. "" if there is none.
func nearest(name string, known []string) string {
	best := suggest.Nearest(name, known)
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
