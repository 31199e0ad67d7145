package dockercli

import (
	"slices"
	"strings"

	"github.com/moby/moby/client/pkg/versions"
)

// Labels of Docker Compose. By the image's and the hash it sees that a
// container is out of date; images that it builds have neither.
const (
	composePrefix       = "com.docker.compose."
	composeProjectLabel = composePrefix + "project"
	composeServiceLabel = composePrefix + "service"
	composeVersionLabel = composePrefix + "version"
	composeImageLabel   = composePrefix + "image"
	composeHashLabel    = composePrefix + "config-hash"
)

// composeManifests is the first Compose that labels a container with the
// digest of its platform's manifest, where the engine has one, and not with
// the image's id.
const composeManifests = "5.4.0"

// composeIdentity are the labels that Compose gives to its containers and also
// to the images that it builds. A container's are its own, also where its
// image has the same.
func composeIdentity() []string {
	return []string{composeProjectLabel, composeServiceLabel, composeVersionLabel}
}

// composeLabels keeps the labels that Compose gave the container, and renews what
// Compose would write for the new image. The hash of the service's
// configuration stays: the image's name is in it, not its id.
func (b Blueprint) composeLabels(body fields, img imageInspection) {
	labels := read[map[string]string](body, "Labels")
	old := labels[composeImageLabel]
	if old == "" && labels[composeHashLabel] == "" {
		return
	}
	b.keepIdentity(labels)
	if old != "" {
		labels[composeImageLabel] = img.id
		if b.composeByManifest(old, labels[composeVersionLabel]) {
			labels[composeImageLabel] = img.composeDigest(b)
		}
	}
	write(body, "Labels", labels)
}

func (b Blueprint) keepIdentity(labels map[string]string) {
	for _, name := range composeIdentity() {
		if value, ok := b.Labels[name]; ok {
			labels[name] = value
		}
	}
}

// ComposeProject are the labels that tell which Compose project a container
// is of, and where its files are; nil if it is of none. Whoever publishes an
// image has no say in it.
func (b Blueprint) ComposeProject() map[string]string {
	image := func(name string) bool { return b.ImageLabels[name] != "" && b.ImageLabels[name] == b.Labels[name] }
	if b.Labels[composeHashLabel] == "" || image(composeHashLabel) {
		return nil
	}
	own := map[string]string{}
	for name, value := range b.Labels {
		if strings.HasPrefix(name, composePrefix) && (!image(name) || slices.Contains(composeIdentity(), name)) {
			own[name] = value
		}
	}
	return own
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
