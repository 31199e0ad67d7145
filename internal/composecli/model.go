package composecli

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"
)

// modelLimit is for a command that only reads files.
const modelLimit = 30 * time.Second

// Model is what Compose makes of a project's files as they are now, as JSON.
// The labels are those of one of its containers (dockercli.Blueprint tells them).
//
// Errors: ErrNoCompose, ErrNoFiles, ErrInvalid, ErrCancelled, ErrTimeout,
// *FailedError.
func (c *CLI) Model(ctx context.Context, labels map[string]string) ([]byte, error) {
	p, err := labelled(labels)
	if err != nil {
		return nil, err
	}
	t, err := c.tool(ctx)
	if err != nil {
		return nil, err
	}
	out, err := c.config(ctx, t, p, "--format", "json")
	if err != nil {
		return nil, fmt.Errorf("read Compose project %s: %w", p.Name, err)
	}
	return out, nil
}

// Hashes are the configuration hashes of a project's services as its files are
// now, by service. A container whose label com.docker.compose.config-hash is
// another is recreated by `up`; one whose label is the same still may be, for a
// newer image or because of what it depends on.
//
// Errors: those of Model, *TooOldError.
func (c *CLI) Hashes(ctx context.Context, p Project) (map[string]string, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if len(p.Files) == 0 {
		return nil, fmt.Errorf("%w: none are named", ErrNoFiles)
	}
	t, err := c.modern(ctx)
	if err != nil {
		return nil, err
	}
	out, err := c.config(ctx, t, p, "--hash", "*")
	if err != nil {
		return nil, fmt.Errorf("read Compose project %s: %w", p.Name, err)
	}
	hashes := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if service, hash, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			hashes[service] = hash
		}
	}
	return hashes, nil
}

// config gives what `config` prints on standard output.
func (c *CLI) config(ctx context.Context, t *tool, p Project, args ...string) ([]byte, error) {
	var stdout bytes.Buffer
	k := command{what: "docker compose config", dir: p.folder(), args: append(append(p.flags(false), "config"), args...), limit: modelLimit, stdout: &stdout}
	if t.tooOld == nil {
		k.args = append(output(), k.args...)
	}
	err := c.run(ctx, t, k, &report{})
	return stdout.Bytes(), err
}
