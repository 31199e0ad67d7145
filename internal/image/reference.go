// Package image holds the value types that every other package speaks of
// images in: references, platforms and digests. It does no I/O.
package image

import (
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// ErrBadReference says that a string is no image reference.
var ErrBadReference = errors.New("bad image reference")

// Reference names an image in a registry, normalised: "nginx" is
// docker.io/library/nginx:latest. At least one of Tag and Digest is set.
type Reference struct {
	// Domain is the registry as the reference has it, with its port: "docker.io", "127.0.0.1:5000".
	Domain string
	// Path is the repository within the registry: "library/nginx".
	Path string
	// Tag is empty only if Digest is set.
	Tag string
	// Digest is "sha256:…" for a reference that is pinned, else empty.
	Digest string
}

// ParseReference normalises what a user, a Compose file or the engine calls
// an image. A name without tag and digest gets the tag "latest".
//
// Errors: ErrBadReference, wrapped with the text and what is wrong with it.
// A bare image id is no reference; see IsID.
func ParseReference(s string) (Reference, error) {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return Reference{}, fmt.Errorf("%w %q: %w", ErrBadReference, s, err)
	}
	named = reference.TagNameOnly(named)
	ref := Reference{Domain: reference.Domain(named), Path: reference.Path(named)}
	if tagged, ok := named.(reference.Tagged); ok {
		ref.Tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		ref.Digest = digested.Digest().String()
	}
	return ref, nil
}

// IsID reports whether s is the id of the image imageID ("sha256:…") rather
// than a name: the whole id, or a prefix of its hexadecimal part. The engine
// shows such a string where a container was made from an id or where the tag
// it was made from has moved since. A short id would also parse as a name.
func IsID(s, imageID string) bool {
	hex := strings.TrimPrefix(s, "sha256:")
	if hex != s && len(hex) == 64 {
		return true
	}
	// 4 characters is the shortest prefix worth believing; shorter names exist.
	return len(hex) >= 4 && strings.HasPrefix(strings.TrimPrefix(imageID, "sha256:"), hex)
}

// Name is the repository with its registry: "docker.io/library/nginx".
func (r Reference) Name() string { return r.Domain + "/" + r.Path }

// String is the canonical long form: "docker.io/library/nginx:latest".
func (r Reference) String() string {
	s := r.Name()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}

// Familiar is the short form that people use: "nginx:latest".
func (r Reference) Familiar() string {
	named, err := reference.ParseNormalizedNamed(r.String())
	if err != nil {
		return r.String()
	}
	return reference.FamiliarString(named)
}

// FamiliarName is the repository's short form, without tag and digest: "nginx".
func (r Reference) FamiliarName() string { return Reference{Domain: r.Domain, Path: r.Path}.Familiar() }

// WithTag gives a reference, as its user wrote it, another tag in the place of
// the one that it has. Errors: ErrBadReference, also for one without a tag or
// with a digest.
func WithTag(s, tag string) (string, error) {
	ref, err := ParseReference(s)
	if err != nil {
		return "", err
	}
	name, ok := strings.CutSuffix(s, ":"+ref.Tag)
	if !ok || ref.Digest != "" {
		return "", fmt.Errorf("%w %q: it has no tag that could be changed", ErrBadReference, s)
	}
	if _, err := ParseReference(name + ":" + tag); err != nil {
		return "", err
	}
	return name + ":" + tag, nil
}

// ValidDigest reports whether s is a well-formed digest of an algorithm that
// this program can check.
func ValidDigest(s string) bool {
	d, err := digest.Parse(s)
	return err == nil && d.Algorithm().Available()
}

// RepoDigest cuts "name@sha256:…" into its name and digest; ok is false if
// s has no valid digest.
func RepoDigest(s string) (name, dgst string, ok bool) {
	name, dgst, ok = strings.Cut(s, "@")
	return name, dgst, ok && ValidDigest(dgst)
}
