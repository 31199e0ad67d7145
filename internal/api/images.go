package api

import "context"

type listImagesOut struct {
	Body struct {
		Images []Image `json:"images"`
	} `nameHint:"ImageList"`
}

func (s *server) listImages(ctx context.Context, _ *none) (*listImagesOut, error) {
	all, err := s.Images.Images(ctx)
	if err != nil {
		return nil, err
	}
	out := &listImagesOut{}
	out.Body.Images = make([]Image, 0, len(all))
	for _, i := range all {
		i.Tags, i.Digests, i.Containers = orEmpty(i.Tags), orEmpty(i.Digests), orEmpty(i.Containers)
		out.Body.Images = append(out.Body.Images, i)
	}
	return out, nil
}

type removeImageIn struct {
	Body struct {
		ID    string `json:"id" minLength:"1" maxLength:"512" doc:"Id, an unambiguous beginning of it, or a reference"`
		Force bool   `json:"force,omitempty" doc:"Even with several tags, or used by a stopped container"`
	} `nameHint:"ImageRemovalRequest"`
}

type removeImageOut struct{ Body ImageRemoval }

func (s *server) removeImage(ctx context.Context, in *removeImageIn) (*removeImageOut, error) {
	trailOf(ctx).about(in.Body.ID)
	done, err := s.Images.RemoveImage(ctx, in.Body.ID, in.Body.Force)
	if err != nil {
		return nil, err
	}
	done.Deleted, done.Untagged = orEmpty(done.Deleted), orEmpty(done.Untagged)
	return &removeImageOut{Body: done}, nil
}
