package scanner

import (
	"sync"

	"github.com/watch-docker/watch-docker/internal/store"
)

// digestSet is every digest that images have been known by, by platform: the
// store's table in memory.
type digestSet struct {
	mu  sync.Mutex
	set map[store.ImageDigest]struct{}
	any map[string]bool // image ids with at least one digest
}

func newDigestSet(known []store.ImageDigest) *digestSet {
	d := &digestSet{set: map[store.ImageDigest]struct{}{}, any: map[string]bool{}}
	for _, k := range known {
		d.put(k)
	}
	return d
}

func (d *digestSet) put(k store.ImageDigest) {
	d.set[k] = struct{}{}
	d.any[k.ImageID] = true
}

func (d *digestSet) has(imageID, platform, digest string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.set[store.ImageDigest{ImageID: imageID, Platform: platform, Digest: digest}]
	return ok
}

// known reports whether a registry was ever known to have the image.
func (d *digestSet) known(imageID string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.any[imageID]
}

// add puts digests in and gives back those that are new.
func (d *digestSet) add(imageID, platform string, digests []string) []store.ImageDigest {
	d.mu.Lock()
	defer d.mu.Unlock()
	var fresh []store.ImageDigest
	for _, digest := range digests {
		k := store.ImageDigest{ImageID: imageID, Platform: platform, Digest: digest}
		if _, ok := d.set[k]; !ok {
			d.put(k)
			fresh = append(fresh, k)
		}
	}
	return fresh
}
