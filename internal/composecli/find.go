package composecli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// oldest is the first version whose `--progress json` tells parents and bytes;
// 2.29.0 had the rest of it.
const oldest = "2.29.1"

// probeLimit is for a command that only says its version.
const probeLimit = 20 * time.Second

// Version is which Compose there is.
type Version struct {
	Version string // "5.5.1"
	Command string // "docker compose" or "docker-compose"
	Path    string // of docker, or docker-compose
}

// tool is a command that was found to be Compose.
type tool struct {
	Version
	standalone bool
	tooOld     error
}

// Version asks the command what it is, anew each time: it may have been
// installed or changed meanwhile. What is said of one that is too old is known
// even so.
//
// Errors: ErrNoCompose, *TooOldError.
func (c *CLI) Version(ctx context.Context) (Version, error) {
	t, err := c.probe(ctx)
	c.mu.Lock()
	c.found = t
	c.mu.Unlock()
	if err != nil {
		return Version{}, err
	}
	return t.Version, t.tooOld
}

// tool is the command that was found, or is now.
func (c *CLI) tool(ctx context.Context) (*tool, error) {
	c.mu.Lock()
	found := c.found
	c.mu.Unlock()
	if found == nil {
		if _, err := c.Version(ctx); err != nil && !isTooOld(err) {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		found = c.found
	}
	return found, nil
}

// modern is a tool that can say what it does.
func (c *CLI) modern(ctx context.Context) (*tool, error) {
	t, err := c.tool(ctx)
	if err != nil {
		return nil, err
	}
	return t, t.tooOld
}

func isTooOld(err error) bool {
	var tooOld *TooOldError
	return errors.As(err, &tooOld)
}

// probe looks at Docker's plugin first, then at a docker-compose of its own.
// One that is too old is better than none.
func (c *CLI) probe(ctx context.Context) (*tool, error) {
	var old *tool
	var errs []error
	for _, t := range []*tool{
		{Version: Version{Command: "docker compose", Path: c.docker}},
		{Version: Version{Command: "docker-compose", Path: c.standalone}, standalone: true},
	} {
		if t.Path == "" {
			continue
		}
		err := c.ask(ctx, t)
		switch {
		case err == nil && t.tooOld == nil:
			return t, nil
		case err == nil && old == nil:
			old = t
		case err != nil:
			errs = append(errs, err)
		}
	}
	if old != nil {
		return old, nil
	}
	return nil, errors.Join(errs...)
}

// ask fills in a tool's version.
func (c *CLI) ask(ctx context.Context, t *tool) error {
	var stdout bytes.Buffer
	r := &report{}
	err := c.run(ctx, t, command{probe: true, args: []string{"version", "--short"}, limit: probeLimit, stdout: &stdout, what: t.Command + " version"}, r)
	var failed *FailedError
	switch {
	case errors.As(err, &failed):
		return fmt.Errorf("%w: %s version: %s", ErrNoCompose, t.Command, failed.Error())
	case err != nil:
		return err
	}
	first, _, _ := strings.Cut(strings.TrimSpace(stdout.String()), "\n")
	t.Version.Version = strings.TrimPrefix(clean([]byte(first)), "v")
	have, ok := numbers(t.Version.Version)
	if !ok {
		return fmt.Errorf("%w: %s says %q in place of its version", ErrNoCompose, t.Command, cut(t.Version.Version, 80))
	}
	if need, _ := numbers(oldest); less(have, need) {
		t.tooOld = &TooOldError{Have: t.Version.Version, Need: oldest}
	}
	return nil
}

// numbers are the three of a version; what follows them is the packager's.
func numbers(version string) (n [3]int, ok bool) {
	parts := versionForm.FindStringSubmatch(version)
	if parts == nil {
		return n, false
	}
	for i, part := range parts[1:] {
		n[i], _ = strconv.Atoi(part) // digits, and few
	}
	return n, true
}

var versionForm = regexp.MustCompile(`^([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})(?:[^0-9].*)?$`)

func less(a, b [3]int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}
