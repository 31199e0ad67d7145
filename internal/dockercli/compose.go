package dockercli

import (
	"strings"

	"github.com/moby/moby/client/pkg/versions"
)

// Labels of Docker Compose. By the image's and the hash it sees that a
// container is out of date; images that it builds have neither.
const (
	composePrefix       = "com.docker.compose."
	composeServiceLabel = composePrefix + "service"
	composeVersionLabel = composePrefix + "version"
	composeImageLabel   = composePrefix + "image"
	composeHashLabel    = composePrefix + "config-hash"
)

// composeManifests is the first Compose that labels a container with the
// digest of its platform's manifest, where the engine has one, and not with
// the image's id.
const composeManifests = "5.4.0"

// composeLabels keeps the labels that Compose gave the container, also where
// the old image has the same (Compose labels what it builds), and renews what
// Compose would write for the new image. The hash of the service's
// configuration stays: the image's name is in it, not its id.
func (b Blueprint) composeLabels(body fields, img imageInspection) {
	labels := read[map[string]string](body, "Labels")
	old := labels[composeImageLabel]
	if old == "" && labels[composeHashLabel] == "" {
		return
	}
	for name, value := range b.Labels {
		if strings.HasPrefix(name, composePrefix) {
			labels[name] = value
		}
	}
	if old != "" {
		labels[composeImageLabel] = img.id
		if b.composeByManifest(old, labels[composeVersionLabel]) {
			labels[composeImageLabel] = img.composeDigest(b)
		}
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
