package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/watch-docker/watch-docker/internal/imagefile"
	"github.com/watch-docker/watch-docker/internal/updater"
)

// projectFiles is the updater's side of imagefile.
type projectFiles struct{ files *imagefile.Files }

// Plan implements updater.Files.
func (p projectFiles) Plan(ctx context.Context, c updater.ImageChange) (updater.FileEdit, error) {
	e, err := p.files.Plan(ctx, imagefile.Change(c))
	return updater.FileEdit(e), err
}

// Apply implements updater.Files.
func (p projectFiles) Apply(ctx context.Context, e updater.FileEdit) error {
	return changedFile(p.files.Apply(ctx, imagefile.Edit(e)))
}

// Undo implements updater.Files.
func (p projectFiles) Undo(ctx context.Context, e updater.FileEdit) error {
	return changedFile(p.files.Undo(ctx, imagefile.Edit(e)))
}

func changedFile(err error) error {
	if errors.Is(err, imagefile.ErrChanged) {
		return fmt.Errorf("%w: %w", updater.ErrFileChanged, err)
	}
	return err
}
