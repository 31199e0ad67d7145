package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/watch-docker/watch-docker/internal/image"
)

// manifestTypes are the media types that this program understands. A registry
// that isn't told of indexes answers with one platform's manifest, whose
// digest is another.
const manifestTypes = "application/vnd.docker.distribution.manifest.list.v2+json, " +
	"application/vnd.docker.distribution.manifest.v2+json, " +
	ocispec.MediaTypeImageIndex + ", " + ocispec.MediaTypeImageManifest

// Manifest is what a registry says a tag points at.
type Manifest struct {
	// Digest of the manifest or index: "sha256:…".
	Digest string
	// MediaType as the registry named it; may be empty.
	MediaType string
	// At is when the registry said so, in UTC.
	At time.Time
}

// document is a manifest or an index that was fetched.
type document struct {
	digest    string
	mediaType string
	config    string               // the configuration's digest; empty for an index
	configIs  string               // … and its media type
	layers    []ocispec.Descriptor // of a manifest
	entries   []ocispec.Descriptor // of an index, without attestations
}

func (d *document) isIndex() bool { return d.config == "" }

// head asks which digest a tag has, without its manifest where that can be had.
func (b *Batch) head(ctx context.Context, h *host, ref image.Reference) (Manifest, error) {
	if !h.isGetOnly(ref.Path) {
		resp, err := b.ask(ctx, h, manifestQuestion(http.MethodHead, ref, tagOf(ref)))
		if err != nil {
			return Manifest{}, err
		}
		switch status := resp.StatusCode(); {
		case status == http.StatusMethodNotAllowed, status == http.StatusNotImplemented:
		case status != http.StatusOK:
			return Manifest{}, statusError(h, ref.String(), resp)
		case resp.Header().Get("Docker-Content-Digest") != "":
			return b.headed(h, ref, resp)
		case mediaType(resp) == "text/html":
			return Manifest{}, b.badManifest(h, ref.String(), "a page of HTML")
		}
		h.setGetOnly(ref.Path, resp.StatusCode())
	}
	doc, err := b.fetch(ctx, h, ref, tagOf(ref))
	if err != nil {
		return Manifest{}, err
	}
	return Manifest{Digest: doc.digest, MediaType: doc.mediaType, At: b.now()}, nil
}

func (b *Batch) headed(h *host, ref image.Reference, resp *resty.Response) (Manifest, error) {
	m := Manifest{Digest: resp.Header().Get("Docker-Content-Digest"), MediaType: mediaType(resp), At: b.now()}
	switch {
	case !image.ValidDigest(m.Digest):
		return Manifest{}, b.badManifest(h, ref.String(), fmt.Sprintf("the digest %q, which is none", printable(m.Digest, 80)))
	case isSchema1(m.MediaType):
		return Manifest{}, b.schema1(h, ref.String())
	case m.MediaType == "text/html":
		return Manifest{}, b.badManifest(h, ref.String(), "a page of HTML")
	}
	return m, nil
}

// tagOf is what a reference is asked for by.
func tagOf(ref image.Reference) string {
	if ref.Tag != "" {
		return ref.Tag
	}
	return ref.Digest
}

func manifestQuestion(method string, ref image.Reference, tagOrDigest string) question {
	name := ref.Name() + ":" + tagOrDigest
	if image.ValidDigest(tagOrDigest) {
		name = ref.Name() + "@" + tagOrDigest
	}
	return question{method: method, repository: ref.Path, path: "manifests/" + tagOrDigest, accept: manifestTypes, name: name}
}

// fetch gets a manifest or index by tag or digest, each digest once in a batch.
func (b *Batch) fetch(ctx context.Context, h *host, ref image.Reference, tagOrDigest string) (*document, error) {
	if doc := b.fetched(tagOrDigest); doc != nil {
		return doc, nil
	}
	q := manifestQuestion(http.MethodGet, ref, tagOrDigest)
	resp, err := b.ask(ctx, h, q)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode() != http.StatusOK {
		e := statusError(h, q.name, resp)
		if lacksManifest(resp) {
			e.missing = tagOrDigest
		}
		return nil, e
	}
	doc, err := b.read(h, q.name, tagOrDigest, resp)
	if err != nil {
		return nil, err
	}
	b.keepFetched(doc)
	return doc, nil
}

// read makes a document of an answer, and checks that it is the one asked for.
func (b *Batch) read(h *host, name, tagOrDigest string, resp *resty.Response) (*document, error) {
	claimed := resp.Header().Get("Docker-Content-Digest")
	if image.ValidDigest(tagOrDigest) {
		claimed = tagOrDigest
	}
	actual := digest.FromBytes(resp.Body())
	if image.ValidDigest(claimed) {
		actual = digest.Digest(claimed).Algorithm().FromBytes(resp.Body())
		if actual.String() != claimed {
			return nil, b.badManifest(h, name, "content that doesn't have the digest it is named by")
		}
	}
	var body manifestBody
	if err := json.Unmarshal(resp.Body(), &body); err != nil {
		what := "something that is no JSON"
		if mediaType(resp) == "text/html" {
			what = "a page of HTML"
		}
		return nil, b.badManifest(h, name, what)
	}
	doc := &document{digest: actual.String(), mediaType: cmp.Or(body.MediaType, mediaType(resp))}
	if body.SchemaVersion == 1 || isSchema1(doc.mediaType) {
		return nil, b.schema1(h, name)
	}
	if wrong := doc.fill(body); wrong != "" {
		return nil, b.badManifest(h, name, wrong)
	}
	return doc, nil
}

// manifestBody is what counts of a manifest or an index.
type manifestBody struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	Config        *ocispec.Descriptor  `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
}

// fill takes over a body's content, or says what is wrong with it.
func (d *document) fill(body manifestBody) (wrong string) {
	switch {
	case (body.Config == nil) == (body.Manifests == nil): // both would be CVE-2021-41190
		return "neither a manifest nor an index"
	case body.Config != nil && !image.ValidDigest(body.Config.Digest.String()):
		return "a manifest whose configuration has no valid digest"
	case body.Config != nil:
		d.config, d.configIs, d.layers = body.Config.Digest.String(), body.Config.MediaType, body.Layers
		return ""
	}
	for _, e := range body.Manifests {
		if !image.ValidDigest(e.Digest.String()) {
			return "an index with an entry that has no valid digest"
		}
		if !isAttestation(e) {
			d.entries = append(d.entries, e)
		}
	}
	return ""
}

// isAttestation: BuildKit files provenance and SBOMs in the index as entries
// for the platform unknown/unknown.
func isAttestation(e ocispec.Descriptor) bool {
	_, annotated := e.Annotations["vnd.docker.reference.type"]
	return annotated || e.Platform != nil && e.Platform.OS == "unknown"
}

func isSchema1(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.docker.distribution.manifest.v1+")
}

func mediaType(resp *resty.Response) string {
	t, _, err := mime.ParseMediaType(resp.Header().Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

func (b *Batch) badManifest(h *host, name, what string) *Error {
	return errorf(CodeBadResponse, h.name, "%s answered with %s to a question for %s. Is it a registry, and is there a proxy with a log-in page before it?", h.name, what, name)
}

func (b *Batch) schema1(h *host, name string) *Error {
	return errorf(CodeBadResponse, h.name, "%s is in the old format \"schema 1\", which today's engines don't pull. It has to be pushed anew with a current version of Docker.", name)
}
