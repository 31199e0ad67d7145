package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/policy"
)

func defaults() policy.Rules {
	return policy.Rules{
		SkipLabels: []string{"watchdocker.skip=true"}, ForceLabels: []string{"watchdocker.force=true"},
		SkipLocalBuild: true, SkipPinnedDigest: true, SkipSemverPinned: true,
		UpdatesEnabled: true, AllowComposeUpdate: true,
	}
}

func labels(pairs ...string) map[string]string {
	m := map[string]string{}
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		m[k] = v
	}
	return m
}

// The whole table of DESIGN section 4, row by row.
func TestTheFirstRuleThatMatchesDecides(t *testing.T) {
	type facts = policy.Facts
	with := func(change func(*policy.Rules)) policy.Rules {
		r := defaults()
		change(&r)
		return r
	}
	const (
		skipped = true
		checked = false
	)
	for name, c := range map[string]struct {
		rules     policy.Rules
		facts     facts
		code      policy.Code
		skipped   bool
		scheduled bool
		byHand    policy.Manual
	}{
		"nothing special":              {defaults(), facts{Tag: "latest"}, policy.Allowed, checked, true, policy.Yes},
		"bad label":                    {defaults(), facts{Labels: labels("watchdocker.track=newest")}, policy.BadLabel, checked, false, policy.No},
		"bad label beats skip":         {defaults(), facts{Labels: labels("watchdocker.skip=true", "watchdocker.minAge=x")}, policy.BadLabel, checked, false, policy.No},
		"only, not matched":            {with(func(r *policy.Rules) { r.OnlyLabels = []string{"watch"} }), facts{Tag: "latest"}, policy.OnlyLabels, skipped, false, policy.WithForce},
		"only, matched by name":        {with(func(r *policy.Rules) { r.OnlyLabels = []string{"watch"} }), facts{Labels: labels("watch=no")}, policy.Allowed, checked, true, policy.Yes},
		"only, other value":            {with(func(r *policy.Rules) { r.OnlyLabels = []string{"watch=yes"} }), facts{Labels: labels("watch=no")}, policy.OnlyLabels, skipped, false, policy.WithForce},
		"skip label":                   {defaults(), facts{Labels: labels("watchdocker.skip=true")}, policy.SkipLabel, skipped, false, policy.WithForce},
		"skip label spelt 1":           {defaults(), facts{Labels: labels("watchdocker.skip=1")}, policy.SkipLabel, skipped, false, policy.WithForce},
		"skip label false":             {defaults(), facts{Labels: labels("watchdocker.skip=false")}, policy.Allowed, checked, true, policy.Yes},
		"configured skip label":        {with(func(r *policy.Rules) { r.SkipLabels = []string{"com.example.hands-off"} }), facts{Labels: labels("com.example.hands-off=")}, policy.SkipLabel, skipped, false, policy.WithForce},
		"skip beats force":             {defaults(), facts{Labels: labels("watchdocker.skip=true", "watchdocker.force=true")}, policy.SkipLabel, skipped, false, policy.WithForce},
		"force":                        {defaults(), facts{LocalBuild: true, Labels: labels("watchdocker.force=true")}, policy.ForceLabel, checked, true, policy.Yes},
		"force on a version":           {defaults(), facts{Tag: "1.2.3", Labels: labels("watchdocker.force=true")}, policy.ForceLabel, checked, true, policy.Yes},
		"force, quarantined":           {defaults(), facts{Offered: true, Quarantined: true, Labels: labels("watchdocker.force=true")}, policy.Quarantined, checked, false, policy.WithForce},
		"local build":                  {defaults(), facts{LocalBuild: true}, policy.LocalBuild, skipped, false, policy.WithForce},
		"local build, rule off":        {with(func(r *policy.Rules) { r.SkipLocalBuild = false }), facts{LocalBuild: true}, policy.Allowed, checked, true, policy.Yes},
		"pinned digest":                {defaults(), facts{Tag: "latest", HasDigest: true}, policy.PinnedDigest, skipped, false, policy.WithForce},
		"pinned digest, rule off":      {with(func(r *policy.Rules) { r.SkipPinnedDigest = false }), facts{Tag: "latest", HasDigest: true}, policy.Allowed, checked, true, policy.Yes},
		"digest alone, rule off":       {with(func(r *policy.Rules) { r.SkipPinnedDigest = false }), facts{HasDigest: true}, policy.PinnedDigest, skipped, false, policy.WithForce},
		"image id":                     {defaults(), facts{FromID: true}, policy.PinnedDigest, skipped, false, policy.WithForce},
		"version":                      {defaults(), facts{Tag: "1.27.3"}, policy.PinnedVersion, skipped, false, policy.WithForce},
		"version with v and suffix":    {defaults(), facts{Tag: "v2.11.0-alpine3.20"}, policy.PinnedVersion, skipped, false, policy.WithForce},
		"version with track":           {defaults(), facts{Tag: "1.27.3", Labels: labels("watchdocker.track=minor")}, policy.Allowed, checked, true, policy.Yes},
		"version, rule off":            {with(func(r *policy.Rules) { r.SkipSemverPinned = false }), facts{Tag: "1.27.3"}, policy.Allowed, checked, true, policy.Yes},
		"two numbers float":            {defaults(), facts{Tag: "1.27"}, policy.Allowed, checked, true, policy.Yes},
		"two numbers and suffix":       {defaults(), facts{Tag: "1.27-alpine"}, policy.Allowed, checked, true, policy.Yes},
		"tag outside the list":         {with(func(r *policy.Rules) { r.FloatingTags = []string{"latest"} }), facts{Tag: "edge"}, policy.TagNotFloating, skipped, false, policy.WithForce},
		"tag in the list":              {with(func(r *policy.Rules) { r.FloatingTags = []string{"latest"} }), facts{Tag: "latest"}, policy.Allowed, checked, true, policy.Yes},
		"updates off":                  {with(func(r *policy.Rules) { r.UpdatesEnabled = false }), facts{Tag: "latest"}, policy.UpdatesDisabled, checked, false, policy.Yes},
		"skipUpdate":                   {defaults(), facts{Labels: labels("watchdocker.skipUpdate=true")}, policy.SkipUpdateLabel, checked, false, policy.Yes},
		"compose, allowed":             {defaults(), facts{Compose: true}, policy.Allowed, checked, true, policy.Yes},
		"compose, not allowed":         {with(func(r *policy.Rules) { r.AllowComposeUpdate = false }), facts{Compose: true}, policy.ComposeDisabled, checked, false, policy.Yes},
		"quarantined":                  {defaults(), facts{Offered: true, Quarantined: true}, policy.Quarantined, checked, false, policy.WithForce},
		"too young":                    {defaults(), facts{Offered: true, ReleaseAge: time.Hour, Labels: labels("watchdocker.minAge=72h")}, policy.TooYoung, checked, false, policy.WithForce},
		"old enough":                   {defaults(), facts{Offered: true, ReleaseAge: 73 * time.Hour, Labels: labels("watchdocker.minAge=72h")}, policy.Allowed, checked, true, policy.Yes},
		"minAge while nothing offered": {defaults(), facts{Labels: labels("watchdocker.minAge=72h")}, policy.Allowed, checked, true, policy.Yes},
	} {
		t.Run(name, func(t *testing.T) {
			d := policy.Decide(c.rules, c.facts)
			if d.Code != c.code || d.Skipped != c.skipped || d.Scheduled != c.scheduled || d.ByHand != c.byHand {
				t.Errorf("got %+v; want code %s, skipped %v, scheduled %v, byHand %s", d, c.code, c.skipped, c.scheduled, c.byHand)
			}
			if !strings.HasSuffix(d.Reason, ".") {
				t.Errorf("reason %q is no sentence", d.Reason)
			}
		})
	}
}

func TestAnImagesOwnLabelsAreNotObeyed(t *testing.T) {
	inherited := labels("watchdocker.skip=true", "watchdocker.track=nonsense")
	d := policy.Decide(defaults(), policy.Facts{Tag: "latest", Labels: inherited, ImageLabels: inherited})
	if d.Code != policy.Allowed {
		t.Errorf("labels of the image alone: %+v", d)
	}
	d = policy.Decide(defaults(), policy.Facts{Labels: labels("watchdocker.skip=true"), ImageLabels: labels("watchdocker.skip=false")})
	if d.Code != policy.SkipLabel {
		t.Errorf("a label that the container sets otherwise: %+v", d)
	}
}

func TestLabelsAreRead(t *testing.T) {
	l, problems := policy.ParseLabels(labels("watchdocker.track=minor", "watchdocker.includeTags=^1", "watchdocker.minAge=36h",
		"watchdocker.dependsOn=db, cache", "watchdocker.strategy=start-first", "watchdocker.preUpdate=/bin/save --all",
		"watchdocker.stopTimeout=90s", "watchdocker.anything=else", "org.example=x", "watchdocker.sharedVolumes=/data, pg_data.1,*",
		`watchdocker.postUpdate=["check","it"]`, "watchdocker.hookTimeout=90s"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if l.Track != policy.TrackMinor || !l.IncludeTags.MatchString("1.2") || l.MinAge != 36*time.Hour || len(l.DependsOn) != 2 ||
		l.DependsOn[1] != "cache" || l.Strategy != policy.StartFirst || l.PreUpdate != "/bin/save --all" || l.StopTimeout != 90*time.Second ||
		!slices.Equal(l.SharedVolumes, []string{"/data", "pg_data.1", "*"}) || l.PostUpdate != `["check","it"]` || l.HookTimeout != 90*time.Second {
		t.Errorf("%+v", l)
	}
}

func TestACommandIsForTheShellUnlessItIsAnArray(t *testing.T) {
	for value, want := range map[string][]string{
		"pg_dump -f /x && sync": {"/bin/sh", "-c", "pg_dump -f /x && sync"},
		` ["/save", "a b",""]`:  {"/save", "a b", ""},
		`test -f /x`:            {"/bin/sh", "-c", "test -f /x"},
	} {
		if got, err := policy.Command(value); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", value, got, err)
		}
	}
}

func TestEveryBadLabelIsNamed(t *testing.T) {
	for _, c := range []struct{ label, says string }{
		{"watchdocker.skip=yes", `watchdocker.skip="yes": allowed are true and false`},
		{"watchdocker.track=newest", `"newest": allowed are [digest patch minor major]`},
		{"watchdocker.includeTags=(", "not a regular expression"},
		{"watchdocker.minAge=3 days", "a duration such as"},
		{"watchdocker.minAge=-1h", "a duration such as"},
		{"watchdocker.dependsOn=a,,b", "names of containers"},
		{"watchdocker.strategy=blue-green", "stop-first start-first"},
		{"watchdocker.preUpdate= ", "a command is missing"},
		{"watchdocker.preUpdate=[]", "a command is missing"},
		{"watchdocker.postUpdate=[\"\"]", "a command is missing"},
		{"watchdocker.postUpdate=[ -f /x ] && save", "a JSON array of words"},
		{"watchdocker.hookTimeout=soon", "a duration such as"},
		{"watchdocker.sharedVolumes=/data,", "names of volumes"},
		{"watchdocker.sharedVolumes=a b", "names of volumes"},
		{"watchdocker.sharedVolume=*", "is watchdocker.sharedVolumes meant?"},
		{"watchdocker.Skip=true", "is watchdocker.skip meant?"},
		{"watchdocker.skp=true", "is watchdocker.skip meant?"},
		{"watchdocker.forced=true", "is watchdocker.force meant?"},
		{"watchdocker.skipupdate=true", "is watchdocker.skipUpdate meant?"},
	} {
		d := policy.Decide(defaults(), policy.Facts{Labels: labels(c.label)})
		if d.Code != policy.BadLabel || !strings.Contains(d.Reason, c.says) {
			t.Errorf("%s: %s %q; want it to say %q", c.label, d.Code, d.Reason, c.says)
		}
	}
}

func FuzzLabels(f *testing.F) {
	f.Add("skip", "true")
	f.Add("includeTags", "(")
	f.Fuzz(func(t *testing.T, name, value string) {
		d := policy.Decide(defaults(), policy.Facts{Labels: map[string]string{policy.Prefix + name: value}})
		if d.Reason == "" || d.Code == "" {
			t.Errorf("no reason for %q=%q", name, value)
		}
	})
}
