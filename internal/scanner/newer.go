package scanner

import (
	"context"
	"fmt"
	"maps"

	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/registry"
)

// newer is a tag that may follow the one in use, and what it names.
type newer struct {
	answer

	ref image.Reference // without a tag if the repository has none that may follow
}

// wish is what labels say about which tags follow.
type wish struct {
	track            policy.Track
	include, exclude string
}

// wishOf gives what a container follows; ok is false if that is no newer tag.
func (s *Scanner) wishOf(sub *subject) (l policy.Labels, w wish, ok bool) {
	l, problems := policy.ParseLabels(policy.Own(sub.Labels, sub.img.Labels))
	if len(problems) > 0 || sub.reference.Digest != "" || !policy.Follows(sub.reference.Tag, l) {
		return l, wish{}, false
	}
	w.track = l.Track
	if l.IncludeTags != nil {
		w.include = l.IncludeTags.String()
	}
	if l.ExcludeTags != nil {
		w.exclude = l.ExcludeTags.String()
	}
	return l, w, true
}

// askNewer finds the tag that follows the subject's, and what it comes to on
// its platform: the repository's tags, which are asked for once however many
// containers need them, and one HEAD.
func (s *Scanner) askNewer(ctx context.Context, batch *registry.Batch, ref image.Reference, sub *subject, a *answer) {
	labels, w, ok := s.wishOf(sub)
	if !ok {
		return
	}
	if a.newer == nil {
		a.newer = map[wish]*newer{}
	}
	n := a.newer[w]
	if n == nil {
		n = s.findNewer(ctx, batch, ref, labels)
		a.newer[w] = n
	}
	if n.err == nil && n.ref.Tag != "" && !s.knows(sub, n.digest) {
		s.resolve(ctx, batch, n.ref, sub, &n.answer)
	}
}

func (s *Scanner) findNewer(ctx context.Context, batch *registry.Batch, ref image.Reference, labels policy.Labels) *newer {
	n := &newer{answer: answer{at: s.now(), offered: map[string]outcome{}, running: map[string]outcome{}}}
	tags, err := batch.Tags(ctx, ref)
	if err != nil {
		n.err = err
		return n
	}
	tag := policy.NewerTag(ref.Tag, tags, labels)
	if tag == "" {
		return n
	}
	n.ref = ref
	n.ref.Tag = tag
	manifest, err := batch.Head(ctx, n.ref)
	n.digest, n.err = manifest.Digest, err
	if err == nil {
		n.at = manifest.At
	}
	return n
}

// addNewer puts what newer tags name among the answers, where nobody has asked
// for those themselves: whoever goes there is up to date at once.
func addNewer(answers map[string]*answer) {
	found := map[string]*answer{}
	for _, a := range answers {
		for _, n := range a.newer {
			if n.err == nil && n.ref.Tag != "" && answers[n.ref.String()] == nil {
				found[n.ref.String()] = &n.answer
			}
		}
	}
	maps.Copy(answers, found)
}

// judgeNewer says that a newer tag could be had, or why that can't be told; it
// reports whether that settles it.
func (s *Scanner) judgeNewer(st *ContainerStatus, sub *subject, a *answer, rules policy.Rules) bool {
	_, w, ok := s.wishOf(sub)
	n := a.newer[w]
	switch {
	case !ok || n == nil || n.err == nil && n.ref.Tag == "":
		return false
	case n.err != nil:
		st.fail(registryError(n.err))
		return true
	}
	same, known, err := s.compare(sub, &n.answer)
	switch {
	case hasNothingFor(err):
		return false // it couldn't run here
	case err != nil:
		st.fail(registryError(err))
		return true
	case same || !known:
		return false
	}
	if s.quarantined(sub.Name, n.digest) != nil {
		if same, known, err := s.compare(sub, a); err == nil && known && !same {
			return false // the tag in use has moved as well, and that hasn't failed yet
		}
	}
	st.NewerTag, st.NewerDigest = n.ref.Tag, n.digest
	summary := fmt.Sprintf("%s is there, and %strack=%s follows it", n.ref.Familiar(), policy.Prefix, w.track)
	s.offerAs(st, sub, n.ref, n.digest, summary, rules)
	return true
}
