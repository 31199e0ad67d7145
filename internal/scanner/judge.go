package scanner

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/registry"
)

// Labels that other tools put on their containers.
const (
	composeProject = "com.docker.compose.project"
	composeService = "com.docker.compose.service"
	swarmService   = "com.docker.swarm.service.name"
)

// wanted reports whether the registry has to be asked about a subject: policy
// lets it through, and what is on this host doesn't settle it already.
func (s *Scanner) wanted(sub *subject, rules policy.Rules) bool {
	d := policy.Decide(rules, s.facts(sub, ""))
	return sub.considered && !d.Skipped && d.Code != policy.BadLabel &&
		sub.refErr == nil && sub.imgErr == nil && !sub.fromID && !s.settledHere(sub)
}

// settledHere reports whether what was pulled to this host says enough: a
// release that failed here doesn't, since the tag may have moved on from it,
// and one that may be the same for this platform doesn't either.
func (s *Scanner) settledHere(sub *subject) bool {
	return sub.movedHere() && !sub.vague && s.quarantined(sub.Name, sub.pulled) == nil
}

// movedHere reports whether the reference names another image on this host
// than the one that runs: it was pulled since, and no registry is needed.
func (sub *subject) movedHere() bool { return sub.local != "" && !sub.localSame }

// facts are what policy is told; offer is the digest of the release that
// could be had, empty if there is none.
func (s *Scanner) facts(sub *subject, offer string) policy.Facts {
	return s.factsOf(sub, sub.asked(), offer)
}

// factsOf is facts with the reference that the release is offered by.
func (s *Scanner) factsOf(sub *subject, ref image.Reference, offer string) policy.Facts {
	f := policy.Facts{
		Labels: sub.Labels, ImageLabels: sub.img.Labels,
		Tag: sub.reference.Tag, HasDigest: sub.reference.Digest != "", FromID: sub.fromID,
		LocalBuild: sub.imgErr == nil && sub.considered && s.localBuild(sub),
		Compose:    sub.Labels[composeProject] != "",
	}
	if sub.img.ID == "" { // whose labels these are can't be told
		f.Labels = maps.Clone(f.Labels)
		maps.DeleteFunc(f.Labels, func(name, _ string) bool { return strings.HasPrefix(name, policy.Prefix) })
	}
	if offer != "" {
		f.Offered, f.ReleaseAge = true, s.releaseAge(ref.String(), offer)
		f.Quarantined = s.quarantined(sub.Name, offer) != nil
	}
	return f
}

// localBuild reports whether no registry is known to have the image. Where the
// engine keeps no book of it, an image without any digest is taken for one,
// unless it had some earlier, or its name has since been pulled: the
// containerd store takes the digests away with the tag.
func (s *Scanner) localBuild(sub *subject) bool {
	switch {
	case sub.img.Origin != dockercli.OriginUnknown:
		return sub.img.Origin == dockercli.OriginLocal && !s.digests.known(sub.ImageID)
	case len(sub.img.Digests) > 0 || s.digests.known(sub.ImageID):
		return false
	}
	return sub.Manifest == "" || sub.local == "" || sub.local == sub.ImageID
}

// judge says what is known of one container; a is nil if the registry hasn't
// been asked.
func (s *Scanner) judge(sub *subject, a *answer, rules policy.Rules) ContainerStatus {
	st := describe(sub)
	st.StartedAt, st.Previous = s.started(sub.ID), s.previous(sub)
	st.Policy = policy.Decide(rules, s.facts(sub, ""))
	st.LocalDigest = s.localDigest(sub)
	switch {
	case !sub.considered:
		st.Status, st.Summary = Unknown, "It is stopped; stopped containers are checked only with docker.includeStopped."
	case st.Policy.Code == policy.BadLabel:
		st.fail(CodeBadLabel, st.Policy.Reason)
	case st.Policy.Skipped:
		st.Status, st.Summary = Skipped, st.Policy.Reason
	case sub.fromID:
		st.fail(CodeBadReference, "It was made from an image id, so there is no tag to ask for.")
	case sub.refErr != nil:
		st.fail(CodeBadReference, fmt.Sprintf("%q can't be read as an image reference: %v.", sub.configured, errors.Unwrap(sub.refErr)))
	case sub.imgErr != nil:
		st.fail(CodeNoImage, "Its image was removed from this host while the container goes on; pull it again to have it checked.")
	case s.settledHere(sub), sub.movedHere() && a == nil:
		st.PulledDigest = sub.pulled
		s.offer(&st, sub, sub.pulled, sub.reference.Familiar()+" names another image on this host already", rules)
	case a == nil:
		st.Status, st.Summary = Unknown, "Not checked yet."
	default:
		s.judgeAnswer(&st, sub, a, rules)
	}
	return st
}

func (s *Scanner) judgeAnswer(st *ContainerStatus, sub *subject, a *answer, rules policy.Rules) {
	st.CheckedAt, st.RemoteDigest = &a.at, a.digest
	same, known, err := s.compare(sub, a)
	switch {
	case err != nil:
		st.fail(registryError(err))
	case s.judgeNewer(st, sub, a, rules):
	case same:
		st.Status, st.Summary, st.LocalDigest = UpToDate, "The registry has nothing newer.", a.digest
		if !s.knownHere(sub, a.digest) {
			st.Summary = "The tag has moved, but its image for " + sub.platform.String() + " is the one that runs."
		}
	case a.at.Before(sub.CreatedAt):
		st.Status, st.Summary = Unknown, "Not checked yet: it is newer than the last answer of its registry."
	case !known:
		st.Status, st.Summary = Unknown, "Not checked yet for "+sub.platform.String()+"."
	default:
		s.offer(st, sub, a.digest, fmt.Sprintf("%s is now %s at the registry", sub.reference.Familiar(), short(a.digest)), rules)
	}
}

// offer says that a release could be had, and what policy thinks of it.
func (s *Scanner) offer(st *ContainerStatus, sub *subject, digest, summary string, rules policy.Rules) {
	s.offerAs(st, sub, sub.asked(), digest, summary, rules)
}

// offerAs is offer with the reference that the release is had by.
func (s *Scanner) offerAs(st *ContainerStatus, sub *subject, ref image.Reference, digest, summary string, rules policy.Rules) {
	st.Status, st.Summary = UpdateAvailable, summary+"."
	st.Policy = policy.Decide(rules, s.factsOf(sub, ref, digest))
	if st.Quarantined = s.quarantined(sub.Name, digest); st.Quarantined != nil {
		st.Summary = fmt.Sprintf("%s is now %s, which has failed here before.", ref.Familiar(), short(digest))
	}
}

// knownHere is knows without what was learned from registries.
func (s *Scanner) knownHere(sub *subject, digest string) bool {
	return digest == sub.ImageID || digest == sub.Manifest || slices.Contains(sub.img.Digests, digest)
}

func (st *ContainerStatus) fail(code, message string) {
	st.Status, st.Summary, st.Error = Failed, message, &Error{Code: code, Message: message}
}

// hasNothingFor reports whether an image is not there for a platform.
func hasNothingFor(err error) bool {
	var e *registry.Error
	return errors.As(err, &e) && e.Code == registry.CodeNoMatchingPlatform
}

func registryError(err error) (code, message string) {
	var e *registry.Error
	if errors.As(err, &e) {
		return e.Code, e.Error()
	}
	return CodeRegistry, err.Error()
}

// localDigest is the digest that people would look for at the registry: of
// the reference's own repository if there is one, else any.
func (s *Scanner) localDigest(sub *subject) string {
	for i, name := range sub.img.Names {
		if name == sub.reference.FamiliarName() {
			return sub.img.Digests[i]
		}
	}
	switch {
	case len(sub.img.Digests) > 0:
		return sub.img.Digests[0]
	case sub.Manifest != "":
		return sub.ImageID // the containerd store's ids are digests of what was pulled
	}
	return ""
}

func describe(sub *subject) ContainerStatus {
	st := ContainerStatus{
		ID: sub.ID, Name: sub.Name, Image: sub.configured, ImageID: sub.ImageID,
		State: sub.State, Running: sub.State == "running", Health: sub.Health, CreatedAt: sub.CreatedAt,
		Ports: make([]Port, 0, len(sub.Ports)),
	}
	for _, p := range sub.Ports {
		st.Ports = append(st.Ports, Port(p))
	}
	if project := sub.Labels[composeProject]; project != "" {
		st.Compose = &Compose{Project: project, Service: sub.Labels[composeService]}
	}
	if service := sub.Labels[swarmService]; service != "" {
		st.Swarm = &Swarm{Service: service}
	}
	return st
}

// short cuts a digest to what people compare: "sha256:1f2e3d4c5b6a".
func short(digest string) string {
	algorithm, hex, ok := strings.Cut(digest, ":")
	if !ok || len(hex) < 12 {
		return digest
	}
	return algorithm + ":" + hex[:12]
}
