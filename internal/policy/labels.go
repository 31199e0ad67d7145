package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Prefix begins the name of every label of ours.
const Prefix = "watchdocker."

// Track says which newer versions of a version tag are wanted.
type Track string

// What watchdocker.track can be. Digest is also what happens without it.
const (
	TrackDigest Track = "digest"
	TrackPatch  Track = "patch"
	TrackMinor  Track = "minor"
	TrackMajor  Track = "major"
)

// Strategy says whether the old container stops before the new one starts.
type Strategy string

// What watchdocker.strategy can be.
const (
	StopFirst  Strategy = "stop-first"
	StartFirst Strategy = "start-first"
)

// Labels is what a container's own watchdocker labels ask for. The zero value
// asks for nothing.
type Labels struct {
	Skip          bool
	Force         bool
	SkipUpdate    bool
	Track         Track          // empty: not set
	IncludeTags   *regexp.Regexp // nil: all
	ExcludeTags   *regexp.Regexp // nil: none
	MinAge        time.Duration
	HealthTimeout time.Duration // 0: the configuration's
	StopTimeout   time.Duration // 0: the container's
	DependsOn     []string      // names of containers
	Strategy      Strategy      // empty: stop first
	SharedVolumes []string      // destinations and names of volumes that two may write to; "*": all
	PreUpdate     string        // see Command
	PostUpdate    string
	HookTimeout   time.Duration // of each of the two; 0: 5 minutes
}

// setters is the table of labels: each reads one value into its field.
func setters(l *Labels) map[string]func(string) error {
	return map[string]func(string) error{
		"skip":          boolean(&l.Skip),
		"force":         boolean(&l.Force),
		"skipUpdate":    boolean(&l.SkipUpdate),
		"track":         oneOf(&l.Track, TrackDigest, TrackPatch, TrackMinor, TrackMajor),
		"includeTags":   pattern(&l.IncludeTags),
		"excludeTags":   pattern(&l.ExcludeTags),
		"minAge":        duration(&l.MinAge),
		"healthTimeout": duration(&l.HealthTimeout),
		"stopTimeout":   duration(&l.StopTimeout),
		"dependsOn":     names(&l.DependsOn),
		"strategy":      oneOf(&l.Strategy, StopFirst, StartFirst),
		"sharedVolumes": volumes(&l.SharedVolumes),
		"preUpdate":     command(&l.PreUpdate),
		"postUpdate":    command(&l.PostUpdate),
		"hookTimeout":   duration(&l.HookTimeout),
	}
}

// Own is the labels that were given to the container itself: an image's labels
// reach its containers, and whoever publishes an image has no say here.
func Own(container, image map[string]string) map[string]string {
	own := map[string]string{}
	for k, v := range container {
		if inherited, ok := image[k]; !ok || inherited != v {
			own[k] = v
		}
	}
	return own
}

// ParseLabels reads the watchdocker labels among own. Each problem is a
// sentence that names label, value and what is allowed; they come in the
// order of the labels' names. Other labels with the prefix are let pass, but
// for those one slip away from ours.
func ParseLabels(own map[string]string) (Labels, []string) {
	var l Labels
	var problems []string
	set := setters(&l)
	for _, key := range slices.Sorted(maps.Keys(own)) {
		name, ours := strings.CutPrefix(key, Prefix)
		if !ours {
			continue
		}
		if read, ok := set[name]; ok {
			if err := read(own[key]); err != nil {
				problems = append(problems, fmt.Sprintf("label %s=%q: %v", key, own[key], err))
			}
		} else if meant := nearest(name, set); meant != "" {
			problems = append(problems, fmt.Sprintf("label %s is not known; is %s%s meant?", key, Prefix, meant))
		}
	}
	return l, problems
}

func boolean(to *bool) func(string) error {
	return func(v string) error {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return fmt.Errorf("allowed are true and false")
		}
		*to = b
		return nil
	}
}

func oneOf[T ~string](to *T, allowed ...T) func(string) error {
	return func(v string) error {
		if !slices.Contains(allowed, T(v)) {
			return fmt.Errorf("allowed are %v", allowed)
		}
		*to = T(v)
		return nil
	}
}

func pattern(to **regexp.Regexp) func(string) error {
	return func(v string) error {
		re, err := regexp.Compile(v)
		if err != nil {
			return fmt.Errorf("not a regular expression: %w", err)
		}
		*to = re
		return nil
	}
}

func duration(to *time.Duration) func(string) error {
	return func(v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 {
			return fmt.Errorf("allowed is a duration such as 90s, 5m or 72h")
		}
		*to = d
		return nil
	}
}

func names(to *[]string) func(string) error {
	return func(v string) error {
		for name := range strings.SplitSeq(v, ",") {
			if name = strings.TrimSpace(name); name == "" {
				return fmt.Errorf("allowed are names of containers with commas between them")
			} else {
				*to = append(*to, name)
			}
		}
		return nil
	}
}

// volumeName is what the engine takes for one.
var volumeName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

func volumes(to *[]string) func(string) error {
	return func(v string) error {
		for name := range strings.SplitSeq(v, ",") {
			if name = strings.TrimSpace(name); name != "*" && !strings.HasPrefix(name, "/") && !volumeName.MatchString(name) {
				return fmt.Errorf("allowed are places in the container (/data) and names of volumes with commas between them, or *")
			}
			*to = append(*to, name)
		}
		return nil
	}
}

func command(to *string) func(string) error {
	return func(v string) error {
		if _, err := Command(v); err != nil {
			return err
		}
		*to = v
		return nil
	}
}

// Command gives the words of a command: those of a JSON array, which is what
// begins with "[", and /bin/sh -c for everything else.
func Command(v string) ([]string, error) {
	v = strings.TrimSpace(v)
	if v == "" {
		return nil, fmt.Errorf("a command is missing")
	}
	if !strings.HasPrefix(v, "[") {
		return []string{"/bin/sh", "-c", v}, nil
	}
	var words []string
	if err := json.Unmarshal([]byte(v), &words); err != nil {
		return nil, fmt.Errorf(`what begins with [ has to be a JSON array of words, such as ["save","--all"]; for the shell, write test instead of [`)
	}
	if len(words) == 0 || words[0] == "" {
		return nil, fmt.Errorf("a command is missing")
	}
	return words, nil
}

// nearest finds the label that differs from name in case or one character.
func nearest[T any](name string, known map[string]T) string {
	for _, k := range slices.Sorted(maps.Keys(known)) {
		if strings.EqualFold(k, name) || oneEdit(k, name) {
			return k
		}
	}
	return ""
}

// oneEdit reports whether a becomes b by putting in, taking out or changing one byte.
func oneEdit(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		return i < len(a) && a[i+1:] == b[i+1:]
	}
	return a[i:] == b[i+1:]
}
