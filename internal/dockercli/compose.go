package dockercli

import "github.com/moby/moby/client/pkg/versions"

// Labels by which Docker Compose sees that a container is out of date.
const (
	composeImageLabel   = "com.docker.compose.image"
	composeVersionLabel = "com.docker.compose.version"
)

// composeManifests is the first Compose that labels a container with the
// digest of its platform's manifest, where the engine has one, and not with
// the image's id.
const composeManifests = "5.4.0"

// composeLabels renews what Compose would write for the new image. The hash of
// the service's configuration stays: the image's name is in it, not its id.
func (b Blueprint) composeLabels(body fields, img imageInspection) {
	labels := read[map[string]string](body, "Labels")
	old, ok := labels[composeImageLabel]
	if !ok {
		return
	}
	labels[composeImageLabel] = img.id
	if b.composeByManifest(old, labels[composeVersionLabel]) {
		labels[composeImageLabel] = img.composeDigest(b)
	}
	write(body, "Labels", labels)
}

// composeByManifest says which of the two it is. A container that doesn't name
// its Compose is judged by its old label; an image that is one manifest, and
// not an index, has that one's digest for its id, which then says nothing.
func (b Blueprint) composeByManifest(old, version string) bool {
	if version != "" {
		return !versions.LessThan(version, composeManifests)
	}
	return old == b.Manifest || old != b.ImageID
}

// composeDigest is what Compose knows a local image by: the manifest for the
// platform, else the only one there is, else the image's id.
func (i imageInspection) composeDigest(b Blueprint) string {
	if digest := i.manifest(b.Platform); digest != "" {
		return digest
	}
	if len(i.manifests) == 1 {
		for digest := range i.manifests {
			return digest
		}
	}
	return i.id
}
