package compose_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/watch-docker/watch-docker/internal/compose"
	"github.com/watch-docker/watch-docker/internal/composefile"
	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// unread says whether a note tells of a file that isn't read.
func unread(notes []composefile.Note) bool {
	return slices.ContainsFunc(notes, func(n composefile.Note) bool { return n.Code == "not_read" })
}

// Files are named from the project's folder, also where COMPOSE_FILE leads into
// one below, which relative paths in them start from and the project has its name of.
func TestWhatIsSentIsCheckedInThePlaceOfTheRightFile(t *testing.T) {
	w := newWorld(t)
	const fine, broken = "services: {web: {image: app}}\n", "services: {web: {image: app, imag: x}}\n"
	w.write(map[string]string{"shop/.env": "COMPOSE_FILE=sub/compose.yaml\n", "shop/sub/compose.yaml": fine})
	v := testbed.Must(w.Validate(t.Context(), "sub", map[string][]byte{"sub/compose.yaml": []byte(broken)}))(t)
	if len(v.Problems) == 0 || unread(v.Notes) {
		t.Errorf("validated: %+v %+v", v.Problems, v.Notes)
	}
	saved := testbed.Must(w.Save(t.Context(), "sub", "sub/compose.yaml", []byte(broken), project.ETag([]byte(fine)), "ann"))(t)
	if len(saved.Problems) == 0 || unread(saved.Notes) {
		t.Errorf("saved: %+v", saved)
	}
	w.StateFolder = filepath.Join(w.root, "state")
	w.must(os.Mkdir(w.StateFolder, 0o755))
	mounts := []byte("services: {web: {image: app, volumes: [\"" + w.StateFolder + ":/state\"]}}\n")
	_, err := w.Save(t.Context(), "sub", "sub/compose.yaml", mounts, saved.ETag, "ann")
	var refused *compose.PathsError
	if !errors.As(err, &refused) {
		t.Errorf("a file that mounts our own state is saved: %v", err)
	}
}

func TestWhatIsSentAndNotReadIsSaid(t *testing.T) {
	w := newWorld(t)
	w.write(map[string]string{"shop/compose.yaml": "services: {web: {image: app}}\n"})
	v := testbed.Must(w.Validate(t.Context(), "shop", map[string][]byte{"compose.prod.yaml": []byte("services: 1")}))(t)
	if !unread(v.Notes) {
		t.Errorf("%+v", v.Notes)
	}
	saved := testbed.Must(w.Save(t.Context(), "shop", "compose.prod.yaml", []byte("services: {}\n"), project.Absent, "ann"))(t)
	if !unread(saved.Notes) {
		t.Errorf("%+v", saved)
	}
}
