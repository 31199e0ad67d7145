package registry

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/logging"
)

// Batch is the questions of one scan. It is safe for concurrent use.
type Batch struct {
	client       *Client
	started      time.Time
	repositories map[string][]string // announced, by host

	mu        sync.Mutex
	contacts  map[*host]*contact
	documents map[string]*document // fetched, by digest
	named     map[string]bool      // "repository@digest" that tags were found to have
}

// Head asks which digest the reference's tag has now: one HEAD request, or
// none within the cache's TTL. A reference without a tag is asked for by its
// digest.
//
// Errors: *Error, or that of a context that ended.
func (b *Batch) Head(ctx context.Context, ref image.Reference) (Manifest, error) {
	name := manifestQuestion("", ref, tagOf(ref)).name
	m, err := b.client.heads.get(ctx, key(ref, name), func(ctx context.Context) (Manifest, error) {
		return anyOf(ctx, b.client.endpoints(ref.Domain), func(ctx context.Context, h *host) (Manifest, error) {
			return b.head(ctx, h, ref)
		})
	})
	if err == nil {
		b.noteNamed(ref.Name() + "@" + m.Digest)
	}
	return m, of(name, err)
}

// Resolve finds the manifest and configuration that a digest of ref's
// repository comes to on platform p. What was ever resolved costs no request,
// and neither does a digest that the repository once turned out not to have,
// unless this batch has found a tag to have it.
//
// Errors: as with Head; CodeNoMatchingPlatform if there is nothing for p, with
// a message that lists what there is.
func (b *Batch) Resolve(ctx context.Context, ref image.Reference, digest string, p image.Platform) (Resolved, error) {
	name := ref.Name() + "@" + digest
	if !image.ValidDigest(digest) {
		return Resolved{}, of(name, errorf(CodeBadResponse, ref.Domain, "%s has no valid digest.", name))
	}
	if r, ok := b.recall(ctx, digest, p); ok {
		return r, nil
	}
	if b.isGone(ctx, name, p) {
		return Resolved{}, of(name, notFound(canonicalHost(ref.Domain), name, ""))
	}
	r, err := b.client.resolutions.get(ctx, key(ref, name+" "+p.String()), func(ctx context.Context) (Resolved, error) {
		gone := true // from the mirror as well
		r, err := anyOf(ctx, b.client.endpoints(ref.Domain), func(ctx context.Context, h *host) (Resolved, error) {
			r, err := b.resolve(ctx, h, ref, digest, p)
			gone = gone && lacks(err, digest)
			return r, err
		})
		if gone {
			b.remember(ctx, name, p, Resolved{})
		}
		return r, err
	})
	return r, of(name, err)
}

// anyOf asks a registry's mirror before the registry, which is asked if the
// mirror doesn't have it or can't be reached.
func anyOf[V any](ctx context.Context, hosts []*host, ask func(context.Context, *host) (V, error)) (V, error) {
	var v V
	var err error
	for _, h := range hosts {
		v, err = ask(ctx, h)
		if !hasCode(err, CodeNotFound, CodeUnreachable) {
			break
		}
	}
	return v, err
}

func (b *Batch) recall(ctx context.Context, digest string, p image.Platform) (Resolved, bool) {
	r, ok, err := b.client.opts.Memory.Resolution(ctx, digest, p.String())
	if err != nil {
		b.client.log.Warn("could not read what a digest resolves to", logging.Digest(digest), logging.Err(err))
	}
	return r, ok && err == nil
}

// isGone reports whether a digest, named with its repository, is remembered not
// to be there. That is never held against a tag that has it: what was deleted
// can be pushed again.
func (b *Batch) isGone(ctx context.Context, name string, p image.Platform) bool {
	b.mu.Lock()
	named := b.named[name]
	b.mu.Unlock()
	if named {
		return false
	}
	r, ok := b.recall(ctx, name, p)
	return ok && r == Resolved{}
}

func (b *Batch) noteNamed(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.named[name] = true
}

func (b *Batch) remember(ctx context.Context, digest string, p image.Platform, r Resolved) {
	if err := b.client.opts.Memory.SaveResolution(ctx, digest, p.String(), r); err != nil {
		b.client.log.Warn("could not save what a digest resolves to", logging.Digest(digest), zap.Stringer("platform", p), logging.Err(err))
	}
}

func (b *Batch) contact(h *host) *contact {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.contacts[h]
	if k == nil {
		k = h.newContact()
		b.contacts[h] = k
	}
	return k
}

// shuns reports whether a host isn't asked at present: it wants to be left
// alone, or has failed in this batch.
func (b *Batch) shuns(h *host) bool {
	return h.paused() != nil || b.contact(h).failure() != nil
}

func (b *Batch) fetched(digest string) *document {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.documents[digest]
}

func (b *Batch) keepFetched(doc *document) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.documents[doc.digest] = doc
}

func (b *Batch) now() time.Time { return b.client.opts.Now().UTC() }
