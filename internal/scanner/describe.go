package scanner

import (
	"context"

	"github.com/watch-docker/watch-docker/internal/image"
)

// Describe tells what an image of a registry says of itself, without pulling
// it. Without a digest it is what the reference names now.
//
// Errors: *registry.Error, or that of a context that ended.
func (s *Scanner) Describe(ctx context.Context, ref image.Reference, digest string, p image.Platform) (image.Description, error) {
	s.mu.Lock()
	client := s.settings.Registry
	s.mu.Unlock()
	batch := client.Batch([]image.Reference{ref})
	if digest == "" {
		manifest, err := batch.Head(ctx, ref)
		if err != nil {
			return image.Description{}, err
		}
		digest = manifest.Digest
	}
	return batch.Describe(ctx, ref, digest, p)
}
