package api

import (
	"context"
	"slices"

	"github.com/watch-docker/watch-docker/internal/preview"
)

type previewIn struct {
	ContainerPath

	Force bool `query:"force" doc:"Of an update with force"`
}

type previewOut struct{ Body preview.Preview }

func (s *server) previewUpdate(ctx context.Context, in *previewIn) (*previewOut, error) {
	status, err := s.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	p, err := s.Updates.Preview(ctx, PreviewRequest{ContainerID: status.ID, Force: in.Force})
	return &previewOut{Body: PresentPreview(p)}, err
}

// longestValue bounds what is shown of a variable or a label, in bytes.
const longestValue = 4 << 10

// PresentPreview masks what looks like a secret, bounds what a stranger's
// image says, and makes lists of no lists.
func PresentPreview(p preview.Preview) preview.Preview {
	c := &p.Changes
	for _, list := range []*[]preview.Change{&c.Env, &c.Labels, &c.Ports, &c.Volumes} {
		*list = orEmpty(slices.Clone(*list))
		for i, change := range *list {
			(*list)[i] = presentChange(change)
		}
	}
	c.Entrypoint, c.Cmd = presentList(c.Entrypoint), presentList(c.Cmd)
	for _, t := range []**preview.TextChange{&c.User, &c.WorkingDir, &c.StopSignal} {
		if *t != nil {
			*t = &preview.TextChange{From: bounded((*t).From), To: bounded((*t).To), Overridden: (*t).Overridden}
		}
	}
	if h := c.Healthcheck; h != nil {
		c.Healthcheck = &preview.HealthChange{From: presentHealth(h.From), To: presentHealth(h.To), Overridden: h.Overridden}
	}
	p.Hooks = preview.Hooks{PreUpdate: presentHook(p.Hooks.PreUpdate), PostUpdate: presentHook(p.Hooks.PostUpdate)}
	p.Dependents, p.Warnings = orEmpty(p.Dependents), orEmpty(p.Warnings)
	p.Order = preview.Order{Stop: orEmpty(p.Order.Stop), Start: orEmpty(p.Order.Start)}
	return p
}

func presentChange(c preview.Change) preview.Change {
	if secretive(c.Name, c.From) || secretive(c.Name, c.To) {
		c.Masked = true
		for _, v := range []*string{&c.From, &c.To} {
			if *v != "" {
				*v = mask
			}
		}
	}
	c.Name, c.From, c.To = bounded(c.Name), bounded(c.From), bounded(c.To)
	return c
}

func presentList(l *preview.ListChange) *preview.ListChange {
	if l == nil {
		return nil
	}
	return &preview.ListChange{From: presentArguments(l.From), To: presentArguments(l.To), Overridden: l.Overridden}
}

func presentArguments(arguments []string) []string {
	masked := maskArguments(arguments)
	for i, a := range masked {
		masked[i] = bounded(a)
	}
	return masked
}

func presentHealth(h *preview.HealthCheck) *preview.HealthCheck {
	if h == nil {
		return nil
	}
	shown := *h
	shown.Test = presentArguments(h.Test)
	return &shown
}

// presentHook masks a command as the label that it stands in.
func presentHook(command string) string {
	if secretive("", command) {
		return mask
	}
	return command
}

// bounded cuts a text at the beginning of a character.
func bounded(s string) string {
	if len(s) <= longestValue {
		return s
	}
	cut := longestValue
	for cut > 0 && s[cut]&0xC0 == 0x80 {
		cut--
	}
	return s[:cut] + "…"
}
