package policy_test

import (
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/policy"
)

func TestATagIsFollowedByTheNewestOfItsShape(t *testing.T) {
	for name, c := range map[string]struct {
		tag, track, tags, want string
		more                   []string // labels
	}{
		"patch":                       {tag: "1.27.3", track: "patch", tags: "1.27.4 1.27.10 1.28.0 2.0.0 latest", want: "1.27.10"},
		"minor":                       {tag: "1.27.3", track: "minor", tags: "1.27.4 1.28.0 1.30.1 2.0.0", want: "1.30.1"},
		"major":                       {tag: "1.27.3", track: "major", tags: "1.27.4 1.28.0 2.0.0 10.0.0", want: "10.0.0"},
		"nothing newer":               {tag: "1.27.3", track: "major", tags: "1.27.3 1.27.2 1.26.9 latest"},
		"digest follows none":         {tag: "1.27.3", track: "digest", tags: "1.27.4"},
		"no track follows none":       {tag: "1.27.3", tags: "1.27.4"},
		"no version follows none":     {tag: "latest", track: "major", tags: "1.27.4 2.0.0"},
		"suffix stays":                {tag: "1.4-alpine", track: "minor", tags: "1.5 1.5-alpine 1.6 1.6-slim 1.6-alpine-perl", want: "1.5-alpine"},
		"none stays none":             {tag: "1.4", track: "minor", tags: "1.5-alpine 1.5.1 1.6-slim", want: ""},
		"v stays":                     {tag: "v1.4.0", track: "minor", tags: "1.6.0 v1.5.0 V1.7.0", want: "v1.5.0"},
		"no v stays":                  {tag: "1.4.0", track: "minor", tags: "v1.6.0 1.5.0", want: "1.5.0"},
		"one number":                  {tag: "16", track: "major", tags: "17 17.1 18rc1 latest", want: "17"},
		"one number has no patch":     {tag: "16", track: "patch", tags: "17 16.1 16.1.2"},
		"two numbers have no patch":   {tag: "1.4", track: "patch", tags: "1.5 1.4.7"},
		"four numbers":                {tag: "5.2.6.8376", track: "minor", tags: "5.2.6.9000 5.2.6.10000 5.3.0.1 6.0.0.0", want: "5.3.0.1"},
		"the fourth number":           {tag: "5.2.6.8376", track: "patch", tags: "5.2.6.9000 5.2.6.10000 5.3.0.1", want: "5.2.6.10000"},
		"no pre-release":              {tag: "1.4.0", track: "major", tags: "1.5.0-rc1 1.5.0rc1 1.5.0-beta.2 2.0.0-alpha 1.4.1-dev", want: ""},
		"pre-release to pre-release":  {tag: "1.5.0-rc2", track: "patch", tags: "1.5.0-rc1 1.5.0-rc10 1.5.0-rc9", want: "1.5.0-rc10"},
		"pre-release to its release":  {tag: "1.5.0-rc2", track: "patch", tags: "1.5.0-rc3 1.5.0", want: "1.5.0"},
		"pre-release with a suffix":   {tag: "17beta2-alpine", track: "major", tags: "17beta3-alpine 17rc1-alpine 17rc1 18", want: "17rc1-alpine"},
		"python's pre-releases":       {tag: "3.13.0b1", track: "minor", tags: "3.13.0b2 3.13.0rc1 3.12.9", want: "3.13.0rc1"},
		"alpine is no pre-release":    {tag: "1.4.0-alpine", track: "minor", tags: "1.5.0-alpine 1.5.0-bookworm", want: "1.5.0-alpine"},
		"bookworm is no pre-release":  {tag: "1.4.0-bookworm", track: "minor", tags: "1.5.0-bookworm 1.6.0-b1", want: "1.5.0-bookworm"},
		"a suffix' numbers may grow":  {tag: "1.27.3-alpine3.20", track: "minor", tags: "1.28.0-alpine3.21 1.29.0-alpine3.19", want: "1.28.0-alpine3.21"},
		"the same suffix if it can":   {tag: "1.27.3-alpine3.20", track: "minor", tags: "1.28.0-alpine3.21 1.28.0-alpine3.20", want: "1.28.0-alpine3.20"},
		"a suffix alone is no newer":  {tag: "1.27.3-alpine3.20", track: "major", tags: "1.27.3-alpine3.21", want: ""},
		"builds":                      {tag: "4.0.14-ls274", track: "minor", tags: "4.0.15-ls280 4.0.15-ls279 4.0.16-ls1", want: "4.0.15-ls280"},
		"commits are no builds":       {tag: "1.2.3-0a1b2c", track: "minor", tags: "1.2.4-ff00aa 1.2.4", want: ""},
		"a year doesn't follow":       {tag: "9.5", track: "major", tags: "2024.1 20240101 9.6 10.1", want: "10.1"},
		"a year follows a year":       {tag: "2023.12", track: "major", tags: "2024.1 2024.2", want: "2024.2"},
		"leading zeros":               {tag: "22.04", track: "major", tags: "22.10 24.04", want: "24.04"},
		"what can't be counted":       {tag: "1.2.3", track: "major", tags: "1.2.99999999999999999999999 1.2.4-99999999999999999999999", want: ""},
		"includeTags":                 {tag: "1.4.0", track: "minor", tags: "1.5.0 1.6.0", more: []string{`watchdocker.includeTags=^1\.5\.`}, want: "1.5.0"},
		"excludeTags":                 {tag: "1.4.0", track: "minor", tags: "1.5.0 1.6.0", more: []string{`watchdocker.excludeTags=^1\.6\.`}, want: "1.5.0"},
		"excludeTags beats":           {tag: "1.4.0", track: "minor", tags: "1.5.0", more: []string{`watchdocker.includeTags=.`, `watchdocker.excludeTags=5`}, want: ""},
		"nonsense among the tags":     {tag: "1.4.0", track: "minor", tags: "sha256-abc.sig buildcache 1 1. .1 1..2 v -1.5.0 1.5.0", want: "1.5.0"},
		"a zero follows by its label": {tag: "0.4.0", track: "minor", tags: "0.5.0 1.0.0", want: "0.5.0"},
	} {
		t.Run(name, func(t *testing.T) {
			own := labels(c.more...)
			if c.track != "" {
				own["watchdocker.track"] = c.track
			}
			l, problems := policy.ParseLabels(own)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			tags := strings.Fields(c.tags)
			if got := policy.NewerTag(c.tag, tags, l); got != c.want {
				t.Errorf("%s is followed by %q, want %q", c.tag, got, c.want)
			}
			if c.want != "" && !policy.Follows(c.tag, l) {
				t.Errorf("%s is said to follow nothing", c.tag)
			}
		})
	}
}

func FuzzNewerTag(f *testing.F) {
	f.Add("1.4-alpine", "1.5-alpine")
	f.Add("v1.4.0-rc1", "v1.4.0")
	f.Fuzz(func(t *testing.T, tag, other string) {
		l := policy.Labels{Track: policy.TrackMajor}
		switch got := policy.NewerTag(tag, []string{other, tag}, l); got {
		case "":
		case other:
			if back := policy.NewerTag(other, []string{tag}, l); back != "" {
				t.Errorf("%q and %q follow each other", tag, other)
			}
		default:
			t.Errorf("%q is none of the tags", got)
		}
	})
}
