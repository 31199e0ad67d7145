package compose_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/compose"
	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/internal/task"
	"github.com/watch-docker/watch-docker/test/testbed"
)

const shopWithVolumes = `services: {web: {image: app, volumes: ["d:/d", "n:/n", "own:/own", "kept:/kept"]}}
volumes: {d: {name: other_data}, n: {name: nobodys}, own: {}, kept: {name: shop_kept, external: true}}
`

func shopOnHost(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.write(map[string]string{"shop/compose.yaml": shopWithVolumes})
	w.host.runs("shop", "web")
	w.host.runs("blog", "web")
	w.host.volume("other_data", "other")
	w.host.volume("nobodys", "")
	w.host.volume("shop_own", "shop", "shop-web")
	w.host.volume("shop_kept", "shop")
	w.host.volume("shop_former", "shop")
	w.host.volume("shop_shared", "shop", "shop-web", "blog-web")
	w.host.volume("anonymous1", "", "shop-web")
	w.host.volume("anonymous2", "", "blog-web")
	return w
}

// settled looks at what is announced, what has gone, and what is there.
func (w *world) settled(takes, result project.Deletion) {
	w.Helper()
	const goes, stays = "anonymous1 shop_former shop_own", "nobodys other_data shop_kept shop_shared"
	for _, d := range []project.Deletion{takes, result} {
		if volumes(d.Volumes) != goes || volumes(d.VolumesKept) != stays || len(d.Containers) != 1 {
			w.Errorf("%+v\nwant %s; and kept %s", d, goes, stays)
		}
		for _, v := range d.VolumesKept {
			if v.Name == "other_data" && !strings.Contains(v.Reason, "belongs to the project other") || v.Reason == "" {
				w.Errorf("%s stays: %q", v.Name, v.Reason)
			}
		}
	}
	for name := range w.host.volumes {
		if strings.Contains(goes, name) {
			w.Errorf("%s is still there", name)
		}
	}
	for name := range strings.FieldsSeq(stays + " anonymous2") {
		if _, ok := w.host.volumes[name]; !ok {
			w.Errorf("%s is gone", name)
		}
	}
}

func TestADeletionTakesTheVolumesThatItSaidAndNoOthers(t *testing.T) {
	w := shopOnHost(t)
	takes, op, err := w.Remove(t.Context(), compose.Removal{Project: "shop", Volumes: true}, "ann")
	w.must(err)
	_, result := w.ended(op)
	w.settled(takes, result)
}

func TestADownWithVolumesTakesTheProjectsOwn(t *testing.T) {
	w := shopOnHost(t)
	takes := testbed.Must(w.Takes(t.Context(), compose.Removal{Project: "shop", Volumes: true}))(t)
	op := testbed.Must(w.Act(t.Context(), compose.Request{Project: "shop", Action: composecli.Action{Kind: composecli.Down, RemoveVolumes: true}, Actor: "ann"}))(t)
	_, result := w.ended(op)
	w.settled(takes, result)
}

func TestAVolumeThatTheEngineKeepsIsSaid(t *testing.T) {
	w := shopOnHost(t)
	w.host.keeps = "shop_former"
	_, op, err := w.Remove(t.Context(), compose.Removal{Project: "shop", Volumes: true}, "ann")
	w.must(err)
	op, result := w.ended(op)
	if volumes(result.Volumes) != "anonymous1 shop_own" || !strings.Contains(volumes(result.VolumesKept), "shop_former") || !strings.Contains(strings.Join(op.Output, "\n"), "shop_former stays") {
		t.Errorf("%+v %v", result, op.Output)
	}
}

// twins are two folders of one name, which are down.
func twins(t *testing.T) (w *world, copied string) {
	t.Helper()
	w = newWorld(t)
	w.write(map[string]string{"shop/compose.yaml": "services: {web: {image: app}}\n", "zcopy/compose.yaml": "name: shop\nservices: {web: {image: app}}\n"})
	w.host.volume("shop_data", "shop")
	for _, p := range testbed.Must(w.List(t.Context()))(t) {
		if p.ID != "shop" {
			copied = p.ID
		}
	}
	return w, copied
}

func TestFoldersOfOneNameAreOneProjectToCompose(t *testing.T) {
	w, copied := twins(t)
	w.host.block = make(chan struct{})
	up := func(id string) compose.Request {
		return compose.Request{Project: id, Action: composecli.Action{Kind: composecli.Up}}
	}
	op := testbed.Must(w.Act(t.Context(), up("shop")))(t)
	var busy *task.BusyError
	if _, err := w.Act(t.Context(), up(copied)); !errors.As(err, &busy) || busy.OperationID != op.ID {
		t.Errorf("both are brought up at once: %v", err)
	}
	close(w.host.block)
	w.ended(op)
}

func TestVolumesStayWhileTwoFoldersHaveOneName(t *testing.T) {
	w, copied := twins(t)
	for _, id := range []string{"shop", copied} {
		_, _, err := w.Remove(t.Context(), compose.Removal{Project: id, Volumes: true}, "ann")
		if !errors.Is(err, project.ErrNameTaken) {
			t.Errorf("%s: %v", id, err)
		}
		_, err = w.Act(t.Context(), compose.Request{Project: id, Action: composecli.Action{Kind: composecli.Down, RemoveVolumes: true}})
		if !errors.Is(err, project.ErrNameTaken) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if len(w.host.volumes) != 1 {
		t.Error("the volume is gone")
	}
}

func TestADeletionThatIsAskedForTwiceLeavesTheOtherFolder(t *testing.T) {
	w, copied := twins(t)
	_, op, err := w.Remove(t.Context(), compose.Removal{Project: "shop", Files: true}, "ann")
	w.must(err)
	w.ended(op)
	_, _, err = w.Remove(t.Context(), compose.Removal{Project: "shop", Files: true}, "bob")
	if !errors.Is(err, project.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(w.root, "zcopy/compose.yaml")); err != nil {
		t.Error(err)
	}
	if _, err := w.Projects.Project(t.Context(), copied); err != nil {
		t.Error(err)
	}
}
