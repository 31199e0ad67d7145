// Package imagefile changes the image of a Compose service where its project
// says it: in the file that sets it, or in the .env file that its variable
// comes from. An edit is one text in the place of another, in a file that is
// known by its hash: it can be done again, undone, and is refused once somebody
// else has changed the file.
//
// Which files those are stands in a container's labels, which whoever may make
// a container writes. So only files below the configured roots are looked at.
package imagefile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/watch-docker/watch-docker/internal/composefile"
)

// ErrChanged says that a file is neither as it was before an edit nor as it is
// after it.
var ErrChanged = errors.New("it was changed by somebody else meanwhile")

// Labels of a project's containers.
const (
	labelDir     = "com.docker.compose.project.working_dir"
	labelFiles   = "com.docker.compose.project.config_files"
	labelEnv     = "com.docker.compose.project.environment_file"
	labelService = "com.docker.compose.service"
)

// Change is what is wanted.
type Change struct {
	Labels   map[string]string // of a container of the service
	From, To string            // references, as they stand in the file
}

// Edit puts one text in the place of another. The zero value is for a file
// that says it already.
type Edit struct {
	File          string // absolute
	Before, After string // SHA-256 of the file, in hexadecimal digits
	At            int    // offset in bytes
	Was, Is       string
}

// Files are those below some folders.
type Files struct {
	roots   []string
	writing sync.Locker
}

// New takes the folders below which files may be changed, and what is held by
// whoever in this program changes some there.
func New(roots []string, writing sync.Locker) *Files { return &Files{roots: roots, writing: writing} }

// Plan finds out what has to be changed, and changes nothing. Its errors are
// sentences for people, without a full stop.
func (f *Files) Plan(_ context.Context, c Change) (Edit, error) {
	files, err := f.readAll(c.Labels[labelFiles])
	if err != nil {
		return Edit{}, err
	}
	if len(files) == 0 {
		return Edit{}, errors.New("its labels don't name a Compose file")
	}
	service := c.Labels[labelService]
	at, says, err := whoSays(files, service)
	if err != nil {
		return Edit{}, err
	}
	if strings.Contains(says, "$") {
		return f.planVariable(c, files, at.path, says)
	}
	switch says {
	case c.To:
		return Edit{}, nil
	case c.From:
	default:
		return Edit{}, fmt.Errorf("%s says %s, which isn't what the container was made from", at.path, says)
	}
	changed, err := composefile.SetImage(at.content, service, c.To)
	if err != nil {
		return Edit{}, fmt.Errorf("%s: %w", at.path, err)
	}
	return editOf(at, changed)
}

// file is one that was read.
type file struct {
	path    string
	content []byte
}

// readAll reads files that a label names.
func (f *Files) readAll(label string) ([]file, error) {
	var all []file
	for _, path := range strings.FieldsFunc(label, func(r rune) bool { return r == ',' }) {
		if path == "-" || !filepath.IsAbs(path) {
			return nil, fmt.Errorf("it was made from %q, which isn't a file that can be found again", path)
		}
		content, err := f.read(path)
		if err != nil {
			return nil, err
		}
		all = append(all, file{path, content})
	}
	return all, nil
}

// whoSays finds the one file that sets a service's image.
func whoSays(files []file, service string) (at file, says string, err error) {
	found := 0
	for _, one := range files {
		s, err := lookUp(one.content, service)
		switch {
		case err != nil:
			return file{}, "", fmt.Errorf("%s: %w", one.path, err)
		case s.built:
			return file{}, "", fmt.Errorf("%s builds the image of %s", one.path, service)
		case s.image == nil:
			continue
		case found > 0:
			return file{}, "", fmt.Errorf("both %s and %s say the image of %s", at.path, one.path, service)
		}
		at, says, found = one, s.image.Value, found+1
	}
	if found == 0 {
		return file{}, "", fmt.Errorf("none of the project's files says the image of %s itself: it comes from include, extends or an anchor", service)
	}
	return at, says, nil
}

// editOf is the difference between a file and what is to become of it.
func editOf(was file, is []byte) (Edit, error) {
	start, end := 0, 0
	for start < min(len(was.content), len(is)) && was.content[start] == is[start] {
		start++
	}
	for end < min(len(was.content), len(is))-start && was.content[len(was.content)-1-end] == is[len(is)-1-end] {
		end++
	}
	e := Edit{File: was.path, Before: sum(was.content), After: sum(is), At: start,
		Was: string(was.content[start : len(was.content)-end]), Is: string(is[start : len(is)-end])}
	if e.Before == e.After {
		return Edit{}, fmt.Errorf("%s would not be changed by it", was.path)
	}
	return e, nil
}

func sum(content []byte) string {
	s := sha256.Sum256(content)
	return hex.EncodeToString(s[:])
}

// Apply changes the file, to the disk. Doing it again is no error.
//
// Errors: ErrChanged.
func (f *Files) Apply(ctx context.Context, e Edit) error { return f.turn(ctx, e) }

// Undo changes it back.
func (f *Files) Undo(ctx context.Context, e Edit) error {
	return f.turn(ctx, Edit{File: e.File, Before: e.After, After: e.Before, At: e.At, Was: e.Is, Is: e.Was})
}

func (f *Files) turn(ctx context.Context, e Edit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.writing.Lock()
	defer f.writing.Unlock()
	content, err := f.read(e.File)
	if errors.Is(err, errMissing) {
		return errors.Join(err, ErrChanged)
	}
	if err != nil {
		return err
	}
	switch sum(content) {
	case e.After:
		return f.sweep(e.File)
	case e.Before:
	default:
		return fmt.Errorf("%s: %w", e.File, ErrChanged)
	}
	head, rest := content[:min(e.At, len(content))], content[min(e.At, len(content)):]
	if !strings.HasPrefix(string(rest), e.Was) {
		return fmt.Errorf("%s: %w", e.File, ErrChanged)
	}
	changed := append(append(append([]byte{}, head...), e.Is...), rest[len(e.Was):]...)
	if sum(changed) != e.After {
		return fmt.Errorf("%s: %w", e.File, ErrChanged)
	}
	return f.write(e.File, changed, e.Before)
}
