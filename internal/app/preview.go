package app

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/preview"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/updater"
)

// previewsAtOnce bounds how many containers of a dry run are looked at together.
const previewsAtOnce = 4

// preview tells what an update of a container by hand would do.
func (o operator) preview(ctx context.Context, c scanner.ContainerStatus, force bool) (preview.Preview, error) {
	r := updater.PreviewRequest{Request: request(c, ""), UpToDate: c.Status == scanner.UpToDate, Describe: o.scanner.Describe}
	refused := mayByHand(c, force)
	if r.UpToDate {
		refused = nil
	}
	if refused != nil && (c.Policy.Skipped || c.Error != nil && r.Digest == "") {
		r.Unasked = &preview.Finding{Code: refused.Code, Message: refused.Reason}
	}
	p, err := o.updater.Preview(ctx, r)
	if err != nil {
		return preview.Preview{}, ported(err, api.ErrUnknownContainer)
	}
	p.Status = string(c.Status)
	if refused != nil {
		p.Refused = &preview.Finding{Code: refused.Code, Message: refused.Reason}
	}
	return p, nil
}

// Preview implements api.Updates.
func (p ports) Preview(ctx context.Context, r api.PreviewRequest) (preview.Preview, error) {
	c, err := find(p.scanner.Latest(), r.ContainerID)
	if err != nil {
		return preview.Preview{}, err
	}
	return p.operator.preview(ctx, c, r.Force)
}

// previews are of what a dry run would update, in its order, fit to be shown.
func (o operator) previews(ctx context.Context, run api.Run, force bool) ([]preview.Preview, error) {
	latest := o.scanner.Latest()
	all := make([]preview.Preview, len(run.Operations))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(previewsAtOnce)
	for i, op := range run.Operations {
		group.Go(func() error {
			c, err := find(latest, op.Target)
			if err != nil {
				return err
			}
			p, err := o.preview(ctx, c, force)
			if errors.Is(err, api.ErrUnknownContainer) { // removed a moment ago
				p = preview.Preview{ContainerID: c.ID, Name: c.Name, Image: c.Image, Refused: &preview.Finding{Code: updater.CodeGone, Message: err.Error()}}
				err = nil
			}
			all[i] = api.PresentPreview(p)
			return err
		})
	}
	return all, group.Wait()
}
