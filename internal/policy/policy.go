// Package policy decides, from facts alone, which containers are checked and
// which may be updated. It does no I/O: the same facts give the same Decision.
package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Code is the stable name of a reason.
type Code string

// The reasons, in the order in which they are looked at: the first one that
// matches decides.
const (
	BadLabel        Code = "bad_label"
	OnlyLabels      Code = "only_labels"
	SkipLabel       Code = "skip_label"
	ForceLabel      Code = "force_label"
	LocalBuild      Code = "local_build"
	PinnedDigest    Code = "pinned_digest"
	PinnedVersion   Code = "pinned_version"
	TagNotFloating  Code = "tag_not_floating"
	UpdatesDisabled Code = "updates_disabled"
	SkipUpdateLabel Code = "skip_update_label"
	ComposeDisabled Code = "compose_updates_disabled"
	Quarantined     Code = "quarantined"
	TooYoung        Code = "too_young"
	Allowed         Code = "allowed"
)

// Manual says whether somebody may update a container by hand.
type Manual string

// The three answers to a request by hand.
const (
	Yes       Manual = "yes"
	WithForce Manual = "force" // only if the request says force
	No        Manual = "no"
)

// Rules is the configuration's part of the facts.
type Rules struct {
	// Each entry is "name" or "name=value"; any value matches the first form.
	SkipLabels, OnlyLabels, ForceLabels []string

	SkipLocalBuild, SkipPinnedDigest, SkipSemverPinned bool

	FloatingTags       []string // empty: all tags
	UpdatesEnabled     bool
	AllowComposeUpdate bool
}

// Facts is what is known of one container.
type Facts struct {
	Labels      map[string]string // the container's, as the engine shows them
	ImageLabels map[string]string // its image's
	Tag         string            // the tag of its reference, empty if it has none
	HasDigest   bool              // its reference names a digest
	FromID      bool              // it was made from an image id: there is no reference
	LocalBuild  bool              // no registry knows its image
	Compose     bool              // it belongs to a Compose project

	Offered     bool          // a release that differs from what runs is known
	Quarantined bool          // … and its digest has failed here before
	ReleaseAge  time.Duration // … and it was first seen this long ago
}

// Decision is what may be done with a container, and why.
type Decision struct {
	Skipped bool   `json:"skipped"` // not checked
	Force   bool   `json:"force"`   // a force label lifts what would skip it
	Reason  string `json:"reason"`  // a sentence for people
	Code    Code   `json:"code"`

	Scheduled bool   `json:"scheduled"` // may be updated by schedule
	ByHand    Manual `json:"byHand"`    // may be updated by hand

	Labels Labels `json:"-"`
}

// version is three numbers, with or without a v, and any suffix.
var version = regexp.MustCompile(`^[vV]?\d+\.\d+\.\d+(\D.*)?$`)

// Decide applies the rules in their order; the first that matches decides.
func Decide(r Rules, f Facts) Decision {
	own := Own(f.Labels, f.ImageLabels)
	labels, problems := ParseLabels(own)
	d := decide(r, f, own, labels, problems)
	d.Labels = labels
	return d
}

func decide(r Rules, f Facts, own map[string]string, labels Labels, problems []string) Decision {
	if len(problems) > 0 {
		return Decision{Code: BadLabel, ByHand: No, Reason: "It is left alone until its labels are right: " + strings.Join(problems, "; ") + "."}
	}
	if len(r.OnlyLabels) > 0 && match(r.OnlyLabels, own) == "" {
		return skipped(OnlyLabels, "It has none of the labels in policy.onlyLabels (%s).", strings.Join(r.OnlyLabels, ", "))
	}
	if l := match(r.SkipLabels, own); l != "" {
		return skipped(SkipLabel, "The label %s says to skip it.", l)
	}
	if labels.Skip {
		return skipped(SkipLabel, "The label %sskip says to skip it.", Prefix)
	}
	if l := match(r.ForceLabels, own); l != "" || labels.Force {
		if l == "" {
			l = Prefix + "force"
		}
		return forced(f, labels, l)
	}
	if d, ok := unforced(r, f, labels); ok {
		return d
	}
	if d, ok := handOnly(r, f, labels); ok {
		return d
	}
	if d, ok := held(f, labels); ok {
		return d
	}
	return Decision{Code: Allowed, Scheduled: true, ByHand: Yes, Reason: "Nothing keeps it from being updated."}
}

// forced lifts every rule but those about the release itself: one that has
// failed here would fail again, and one that is too young was asked to wait.
func forced(f Facts, labels Labels, label string) Decision {
	if d, ok := held(f, labels); ok {
		d.Force = true
		return d
	}
	return Decision{Force: true, Code: ForceLabel, Scheduled: true, ByHand: Yes,
		Reason: fmt.Sprintf("The label %s lifts the rules that would skip it.", label)}
}

// unforced has the four rules that a force label lifts.
func unforced(r Rules, f Facts, labels Labels) (Decision, bool) {
	switch {
	case f.LocalBuild && r.SkipLocalBuild:
		return skipped(LocalBuild, "Its image was built or loaded here; no registry is known to have it."), true
	case f.FromID:
		return skipped(PinnedDigest, "It was made from an image id, so there is no tag to follow."), true
	case f.HasDigest && (r.SkipPinnedDigest || f.Tag == ""):
		return skipped(PinnedDigest, "Its image is pinned to a digest."), true
	case r.SkipSemverPinned && labels.Track == "" && version.MatchString(f.Tag):
		return skipped(PinnedVersion, "Its tag %s is a version, which is not expected to move; the label %strack follows newer ones.", f.Tag, Prefix), true
	case len(r.FloatingTags) > 0 && !slices.Contains(r.FloatingTags, f.Tag):
		return skipped(TagNotFloating, "Its tag %s is not in policy.floatingTags (%s).", f.Tag, strings.Join(r.FloatingTags, ", ")), true
	}
	return Decision{}, false
}

// handOnly has the rules that leave an update to people.
func handOnly(r Rules, f Facts, labels Labels) (Decision, bool) {
	d := Decision{ByHand: Yes}
	switch {
	case !r.UpdatesEnabled:
		d.Code, d.Reason = UpdatesDisabled, "Scheduled updates are off (update.enabled); it can be updated by hand."
	case labels.SkipUpdate:
		d.Code, d.Reason = SkipUpdateLabel, "The label "+Prefix+"skipUpdate says to check it and leave the update to you."
	case f.Compose && !r.AllowComposeUpdate:
		d.Code, d.Reason = ComposeDisabled, "Compose containers are not updated by schedule (update.allowComposeUpdate); it can be updated by hand."
	default:
		return d, false
	}
	return d, true
}

// held has the rules about the release that is offered.
func held(f Facts, labels Labels) (Decision, bool) {
	d := Decision{ByHand: WithForce}
	switch {
	case !f.Offered:
		return d, false
	case f.Quarantined:
		d.Code, d.Reason = Quarantined, "This release has failed here before; it is left alone until the tag moves again."
	case f.ReleaseAge < labels.MinAge:
		d.Code = TooYoung
		d.Reason = fmt.Sprintf("This release was first seen %s ago; the label %sminAge asks for %s.",
			f.ReleaseAge.Round(time.Minute), Prefix, labels.MinAge)
	default:
		return d, false
	}
	return d, true
}

func skipped(code Code, reason string, args ...any) Decision {
	return Decision{Skipped: true, Code: code, ByHand: WithForce, Reason: fmt.Sprintf(reason, args...)}
}

// match gives the first of the wanted labels, "name" or "name=value", that own
// has, or "".
func match(wanted []string, own map[string]string) string {
	for _, w := range wanted {
		name, value, withValue := strings.Cut(w, "=")
		if got, ok := own[name]; ok && (!withValue || got == value) {
			return w
		}
	}
	return ""
}
