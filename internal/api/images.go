package api

import (
	"context"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/resource"
	"github.com/watch-docker/watch-docker/internal/secrets"
	"github.com/watch-docker/watch-docker/internal/store"
)

// resourceRoutes are about what containers are made of: images, volumes, networks.
func (s *server) resourceRoutes(r *routes) {
	handle(r, viewer, "GET /api/images", "listImages", "All images and who uses them", s.listImages)
	handle(r, viewer, "GET /api/images/{id}", "getImage", "One image: its layers, its history, how it is configured", s.getImage)
	handle(r, operator, "POST /api/images/pull", "pullImage", "Fetch an image", s.pullImage, accepted)
	handle(r, operator, "POST /api/images/prune", "pruneImages", "Remove images that nobody uses, or say which", s.pruneImages, prunes[resource.ImagesPruned](r))
	handle(r, operator, "DELETE /api/images", "removeImage", "Remove an image", s.removeImage)

	handle(r, viewer, "GET /api/volumes", "listVolumes", "All volumes and who uses them", s.listVolumes)
	handle(r, viewer, "GET /api/volumes/{name}", "getVolume", "One volume", s.getVolume)
	handle(r, adminFresh, "DELETE /api/volumes/{name}", "removeVolume", "Remove a volume that nobody uses, with its data", s.removeVolume)
	handle(r, adminFresh, "POST /api/volumes/prune", "pruneVolumes", "Remove volumes that nobody uses, with their data, or say which", s.pruneVolumes, prunes[resource.VolumesPruned](r))

	handle(r, viewer, "GET /api/networks", "listNetworks", "All networks and who uses them", s.listNetworks)
	handle(r, viewer, "GET /api/networks/{id}", "getNetwork", "One network", s.getNetwork)
	handle(r, operator, "DELETE /api/networks/{id}", "removeNetwork", "Remove a network that nobody uses", s.removeNetwork)
	handle(r, operator, "POST /api/networks/prune", "pruneNetworks", "Remove networks that nobody uses, or say which", s.pruneNetworks, prunes[resource.NetworksPruned](r))
}

// prunes describes the two answers of a prune: 200 with what would go, or 202
// with the operation, whose result is the same in the end.
func prunes[T any](r *routes) func(*huma.Operation) {
	return func(op *huma.Operation) {
		op.DefaultStatus = http.StatusAccepted
		schemas := r.api.OpenAPI().Components.Schemas
		answer := func(text, kind string, t reflect.Type) *huma.Response {
			return &huma.Response{Description: text, Content: map[string]*huma.MediaType{kind: {Schema: schemas.Schema(t, true, "")}}}
		}
		op.Responses = map[string]*huma.Response{
			"200":     answer("With dryRun: what would be removed", "application/json", reflect.TypeFor[T]()),
			"202":     answer("The operation; its result says what was removed", "application/json", reflect.TypeFor[store.Operation]()),
			"default": answer("Error", contentType, reflect.TypeFor[Problem]()),
		}
	}
}

// pruneOut is either answer of a prune.
type pruneOut struct {
	Status   int
	Location string `header:"Location"`
	Body     any
}

// pruned begins a prune, or only says what it would remove.
func pruned[T any](ctx context.Context, s *server, dryRun bool, wait time.Duration, preview func() (T, error), begin func() (store.Operation, error)) (*pruneOut, error) {
	trailOf(ctx).note(dryRun, "dry run")
	if dryRun {
		would, err := preview()
		return &pruneOut{Status: http.StatusOK, Body: would}, err
	}
	op, err := begin()
	if err != nil {
		return nil, err
	}
	out, err := s.operationOut(ctx, op, wait)
	if err != nil {
		return nil, err
	}
	return &pruneOut{Status: http.StatusAccepted, Location: out.Location, Body: out.Body}, nil
}

// sizesQuery is ?sizes=true: worth waiting for.
type sizesQuery struct {
	Sizes bool `query:"sizes" doc:"Wait up to a minute for the sizes, instead of five seconds"`
}

type listImagesOut struct {
	Body struct {
		Images []resource.Image `json:"images"`
	} `nameHint:"ImageList"`
}

func (s *server) listImages(ctx context.Context, in *sizesQuery) (*listImagesOut, error) {
	all, err := s.Images.Images(ctx, in.Sizes)
	out := &listImagesOut{}
	out.Body.Images = orEmpty(all)
	return out, err
}

type imagePath struct {
	ID string `path:"id" maxLength:"512" doc:"Id, the beginning of one (12 digits or more), or a name without a slash"`
}

// ImageDetail is one image and how it is made.
type ImageDetail struct {
	resource.Image

	Platform     string            `json:"platform" example:"linux/arm64"`
	LastTaggedAt *time.Time        `json:"lastTaggedAt" doc:"When it was last given a name here"`
	Author       string            `json:"author"`
	Env          []EnvVar          `json:"env"`
	Entrypoint   []string          `json:"entrypoint"`
	Command      []string          `json:"command"`
	WorkingDir   string            `json:"workingDir"`
	User         string            `json:"user"`
	StopSignal   string            `json:"stopSignal"`
	ExposedPorts []string          `json:"exposedPorts"`
	Volumes      []string          `json:"volumes"`
	Labels       map[string]string `json:"labels"`
	Layers       []string          `json:"layers" doc:"Digests of their contents, the lowest first"`
	History      []ImageStep       `json:"history" doc:"How it was made, the newest step first; those with a size made a layer"`
}

// ImageStep is one step of an image's making.
type ImageStep struct {
	At        *time.Time `json:"at"`
	CreatedBy string     `json:"createdBy"`
	Comment   string     `json:"comment"`
	SizeBytes int64      `json:"sizeBytes"`
	Tags      []string   `json:"tags"`
}

type getImageOut struct{ Body ImageDetail }

func (s *server) getImage(ctx context.Context, in *imagePath) (*getImageOut, error) {
	d, err := s.Images.Image(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &getImageOut{Body: presentImage(d)}, nil
}

// presentImage leaves out what looks like a secret.
func presentImage(d resource.ImageDetail) ImageDetail {
	out := ImageDetail{
		Image: d.Image, Platform: d.Platform.String(), LastTaggedAt: timeOrNil(d.LastTagged), Author: d.Author, Env: []EnvVar{},
		Entrypoint: maskArguments(d.Entrypoint), Command: maskArguments(d.Command), WorkingDir: d.WorkingDir, User: d.User, StopSignal: d.StopSignal,
		ExposedPorts: orEmpty(d.ExposedPorts), Volumes: orEmpty(d.Volumes), Labels: maskLabels(d.Labels), Layers: orEmpty(d.Layers), History: []ImageStep{},
	}
	for _, e := range d.Env {
		name, value, _ := strings.Cut(e, "=")
		v := EnvVar{Name: name, Value: value}
		if secretive(name, value) {
			v = EnvVar{Name: name, Value: mask, Masked: true}
		}
		out.Env = append(out.Env, v)
	}
	for _, h := range d.History {
		out.History = append(out.History, ImageStep{
			At: timeOrNil(h.At), CreatedBy: maskAssignments(h.CreatedBy), Comment: h.Comment, SizeBytes: h.SizeBytes, Tags: orEmpty(h.Tags),
		})
	}
	return out
}

// An assignment within a text: NAME=value, NAME="some value".
var assignment = regexp.MustCompile(`([A-Za-z_][\w.-]*)=("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;|&]+)`)

// maskAssignments hides the values of what looks like a secret in a command or
// in a driver's options.
func maskAssignments(text string) string {
	text = assignment.ReplaceAllStringFunc(text, func(found string) string {
		name, value, _ := strings.Cut(found, "=")
		if secretive(name, value) {
			return name + "=" + mask
		}
		return found
	})
	return secrets.Replace(text, mask)
}

func maskOptions(options map[string]string) map[string]string {
	masked := maskLabels(options)
	for name, value := range masked {
		masked[name] = maskAssignments(value)
	}
	return masked
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

type pullImageIn struct {
	WaitQuery

	Body struct {
		Image    string `json:"image" minLength:"1" maxLength:"512" example:"ghcr.io/owner/app:1.4"`
		Platform string `json:"platform,omitempty" maxLength:"64" example:"linux/arm64" doc:"The engine's own if there is none"`
	} `nameHint:"PullRequest"`
}

func (s *server) pullImage(ctx context.Context, in *pullImageIn) (*operationOut, error) {
	ref, err := image.ParseReference(in.Body.Image)
	if err != nil {
		return nil, invalid("body.image", "is no image's name: expected one such as nginx:1.27 or ghcr.io/owner/app@sha256:…")
	}
	var platform image.Platform
	if in.Body.Platform != "" {
		if platform, err = image.ParsePlatform(in.Body.Platform); err != nil {
			return nil, invalid("body.platform", "expected a platform such as linux/arm64 or linux/arm/v7")
		}
	}
	trailOf(ctx).about(ref.Familiar())
	op, err := s.Images.Pull(ctx, ref, platform, callerOf(ctx).Username)
	if err != nil {
		return nil, err
	}
	return s.operationOut(ctx, op, in.Wait.Duration)
}

type pruneImagesIn struct {
	WaitQuery

	Body *struct {
		DryRun    bool   `json:"dryRun,omitempty" doc:"Remove nothing; say what would go"`
		All       bool   `json:"all,omitempty" doc:"Not only images without a tag: all that no container uses"`
		OlderThan string `json:"olderThan,omitempty" maxLength:"32" example:"30d" doc:"Only those made, and last tagged on this host, longer ago; a pull counts as tagging only where the engine keeps book of it"`
	} `nameHint:"ImagePruneOptions"`
}

func (s *server) pruneImages(ctx context.Context, in *pruneImagesIn) (*pruneOut, error) {
	var p resource.ImagePrune
	dryRun := false
	if b := in.Body; b != nil {
		p.All, dryRun = b.All, b.DryRun
		if b.OlderThan != "" {
			var err error
			if p.OlderThan, err = resource.ParseAge(b.OlderThan); err != nil {
				return nil, invalid("body.olderThan", err.Error())
			}
			trailOf(ctx).note(true, "older than "+b.OlderThan)
		}
	}
	trailOf(ctx).note(p.All, "all that are unused")
	return pruned(ctx, s, dryRun, in.Wait.Duration,
		func() (resource.ImagesPruned, error) { return s.Images.PreviewImagePrune(ctx, p) },
		func() (store.Operation, error) { return s.Images.PruneImages(ctx, p, callerOf(ctx).Username) })
}

type removeImageIn struct {
	Body struct {
		ID    string `json:"id" minLength:"1" maxLength:"512" doc:"Id, the beginning of one (12 digits or more), or a reference"`
		Force bool   `json:"force,omitempty" doc:"Even with several tags, used by a stopped container, or needed for a rollback"`
	} `nameHint:"ImageRemovalRequest"`
}

type removeImageOut struct{ Body resource.ImageRemoval }

func (s *server) removeImage(ctx context.Context, in *removeImageIn) (*removeImageOut, error) {
	trailOf(ctx).about(in.Body.ID)
	trailOf(ctx).note(in.Body.Force, "forced")
	done, err := s.Images.RemoveImage(ctx, in.Body.ID, in.Body.Force)
	if err != nil {
		return nil, err
	}
	done.Deleted, done.Untagged = orEmpty(done.Deleted), orEmpty(done.Untagged)
	return &removeImageOut{Body: done}, nil
}
