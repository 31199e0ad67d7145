package scanner

import (
	"sync"

	"github.com/watch-docker/watch-docker/internal/dockercli"
)

// cache remembers what the engine said about images and hidden references.
// An image's entry holds until the engine tells that something happened to
// it, so without events it must be dropped after each scan.
type cache struct {
	mu         sync.Mutex
	images     map[string]dockercli.Image // by image id
	references map[string]string          // by container id
}

func (c *cache) image(id string) (dockercli.Image, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	img, ok := c.images[id]
	return img, ok
}

func (c *cache) setImage(id string, img dockercli.Image) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.images == nil {
		c.images = map[string]dockercli.Image{}
	}
	c.images[id] = img
}

// dropImages forgets all images: any tag or digest may have moved.
func (c *cache) dropImages() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.images = nil
}

func (c *cache) configured(containerID string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ref, ok := c.references[containerID]
	return ref, ok
}

func (c *cache) setConfigured(containerID, ref string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.references == nil {
		c.references = map[string]string{}
	}
	c.references[containerID] = ref
}

// keep forgets the containers and images that are not in use any more.
func (c *cache) keep(containers, images map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.references {
		if !containers[id] {
			delete(c.references, id)
		}
	}
	for id := range c.images {
		if !images[id] {
			delete(c.images, id)
		}
	}
}
