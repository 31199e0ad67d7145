package policy

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Follows reports whether a container with these labels follows newer tags
// than its own, so that its repository's tags have to be listed.
func Follows(tag string, l Labels) bool {
	_, ok := versionOf(tag)
	return ok && (l.Track == TrackPatch || l.Track == TrackMinor || l.Track == TrackMajor)
}

// NewerTag picks, from a repository's tags, the newest that the labels let the
// tag in use be followed by; empty if there is none. A tag is only followed by
// one of its own shape: as many numbers, the same v before and the same words
// after them. "1.4-alpine" is followed by "1.5-alpine", never by "1.5".
// Numbers in the words after the version (alpine3.20) may grow.
//
// Pre-releases follow pre-releases alone, and are followed by the release.
// What looks like a year or a date doesn't follow what doesn't.
func NewerTag(tag string, tags []string, l Labels) string {
	now, ok := versionOf(tag)
	if !ok || !Follows(tag, l) {
		return ""
	}
	best := now
	for _, t := range tags {
		if l.IncludeTags != nil && !l.IncludeTags.MatchString(t) || l.ExcludeTags != nil && l.ExcludeTags.MatchString(t) {
			continue
		}
		if v, ok := versionOf(t); ok && now.followedBy(v, l.Track) && best.olderThan(v, now) {
			best = v
		}
	}
	if best.tag == tag {
		return ""
	}
	return best.tag
}

// tagVersion is a tag taken apart.
type tagVersion struct {
	tag     string
	v       string // what stands before the numbers: "", "v" or "V"
	parts   int    // how many numbers there are
	number  *semver.Version
	words   string // what stands after them, with # in the place of numbers
	numbers []uint64
}

// A tag is one to four numbers, maybe a pre-release as SemVer or Python write
// it, and maybe a suffix.
var (
	tagPattern    = regexp.MustCompile(`^([vV]?)(\d{1,9}(?:\.\d{1,9}){0,3})((?:[-_+.]?[A-Za-z]|[-_+]).*)?$`)
	prePattern    = regexp.MustCompile(`^([-._]?)([A-Za-z]+)([-._]?\d[\d.]*)?`)
	digitsPattern = regexp.MustCompile(`\d+`)
)

// versionOf takes a tag apart; ok is false for one that is no version.
func versionOf(tag string) (t tagVersion, ok bool) {
	m := tagPattern.FindStringSubmatch(tag)
	if m == nil {
		return tagVersion{}, false
	}
	parts := strings.Split(m[2], ".")
	pre, suffix := cutPrerelease(m[3])
	if len(parts) == 4 { // the fourth has its place where SemVer has a pre-release
		if pre != "" {
			return tagVersion{}, false
		}
		pre = cmp.Or(strings.TrimLeft(parts[3], "0"), "0")
	}
	var n [3]uint64
	for i, p := range parts[:min(3, len(parts))] {
		n[i], _ = strconv.ParseUint(p, 10, 64) // nine digits at most
	}
	t = tagVersion{tag: tag, v: m[1], parts: len(parts), number: semver.New(n[0], n[1], n[2], pre, "")}
	t.words = digitsPattern.ReplaceAllString(suffix, "#")
	for _, d := range digitsPattern.FindAllString(suffix, -1) {
		number, err := strconv.ParseUint(d, 10, 64)
		if err != nil {
			return tagVersion{}, false // no number that anybody counts
		}
		t.numbers = append(t.numbers, number)
	}
	return t, true
}

// cutPrerelease gives the pre-release that a suffix begins with, as SemVer has
// it ("rc.1"), and what is left of the suffix.
func cutPrerelease(suffix string) (pre, rest string) {
	m := prePattern.FindStringSubmatch(suffix)
	if m == nil {
		return "", suffix
	}
	word, number := strings.ToLower(m[2]), strings.Trim(m[3], "-._")
	switch word {
	case "alpha", "beta", "pre", "preview", "rc", "dev", "snapshot", "nightly", "canary", "next", "unstable", "edge":
	case "a", "b", "c", "m":
		if number == "" { // 1.2.3a1 is one, 1.2.3a isn't
			return "", suffix
		}
	default:
		return "", suffix
	}
	if number == "" {
		return word, suffix[len(m[0]):]
	}
	return word + "." + number, suffix[len(m[0]):]
}

// prerelease is empty for a release; four numbers are one.
func (t tagVersion) prerelease() string {
	if t.parts == 4 {
		return ""
	}
	return t.number.Prerelease()
}

// calendar is where a first number looks like a year or a date.
const calendar = 1000

// followedBy reports whether another tag may follow this one.
func (t tagVersion) followedBy(next tagVersion, track Track) bool {
	a, b := t.number, next.number
	switch {
	case next.v != t.v, next.parts != t.parts, next.words != t.words,
		next.prerelease() != "" && t.prerelease() == "",
		b.Major() >= calendar && a.Major() < calendar,
		track != TrackMajor && b.Major() != a.Major(),
		track == TrackPatch && b.Minor() != a.Minor():
		return false
	}
	// 1.5-alpine3.19 doesn't follow 1.4-alpine3.20.
	return b.GreaterThan(a) && slices.Compare(next.numbers, t.numbers) >= 0
}

// olderThan reports whether next is a better choice than t, both of which
// follow now, or t is now: the newer version, and of one version that with the
// suffix that now has, else the highest.
func (t tagVersion) olderThan(next, now tagVersion) bool {
	if c := next.number.Compare(t.number); c != 0 {
		return c > 0
	}
	same := func(v tagVersion) int {
		if slices.Equal(v.numbers, now.numbers) && v.tag != now.tag {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(same(next), same(t)), slices.Compare(next.numbers, t.numbers), cmp.Compare(t.tag, next.tag)) > 0
}
