package preview_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/preview"
)

func set(keys ...string) map[string]struct{} {
	m := map[string]struct{}{}
	for _, k := range keys {
		m[k] = struct{}{}
	}
	return m
}

// empty has the lists that are never null.
func empty(change func(*preview.Changes)) preview.Changes {
	c := preview.Changes{Env: []preview.Change{}, Labels: []preview.Change{}, Ports: []preview.Change{}, Volumes: []preview.Change{}}
	if change != nil {
		change(&c)
	}
	return c
}

func TestWhatTheNewImageChangesAndWhatOfItReachesTheContainer(t *testing.T) {
	check := func(interval time.Duration, test ...string) *image.Health {
		return &image.Health{Test: test, Interval: interval}
	}
	for name, c := range map[string]struct {
		old, fresh image.Config
		user       image.Config
		mounted    map[string]bool
		want       preview.Changes
	}{
		"nothing": {want: empty(nil)},
		"only the order of the environment": {
			old: image.Config{Env: []string{"A=1", "B=2"}}, fresh: image.Config{Env: []string{"B=2", "A=1"}}, want: empty(nil),
		},
		"environment": {
			old:   image.Config{Env: []string{"KEPT=1", "CHANGED=old", "GONE=1", "MINE=old", "MINE_GONE=x"}},
			fresh: image.Config{Env: []string{"KEPT=1", "CHANGED=a=b", "ADDED=1", "MINE=new", "MINE_ADDED=y"}},
			user:  image.Config{Env: []string{"MINE=mine", "MINE_GONE=z", "MINE_ADDED=q", "OTHER=1"}},
			want: empty(func(c *preview.Changes) {
				c.Env = []preview.Change{
					{Name: "ADDED", Kind: preview.Added, To: "1"}, {Name: "CHANGED", Kind: preview.Changed, From: "old", To: "a=b"},
					{Name: "GONE", Kind: preview.Removed, From: "1"}, {Name: "MINE", Kind: preview.Changed, From: "old", To: "new", Overridden: true},
					{Name: "MINE_ADDED", Kind: preview.Added, To: "y", Overridden: true}, {Name: "MINE_GONE", Kind: preview.Removed, From: "x", Overridden: true},
				}
			}),
		},
		"labels": {
			old: image.Config{Labels: map[string]string{"a": "1", "mine": "1"}}, fresh: image.Config{Labels: map[string]string{"a": "2", "mine": "2"}},
			user: image.Config{Labels: map[string]string{"mine": "0"}},
			want: empty(func(c *preview.Changes) {
				c.Labels = []preview.Change{{Name: "a", Kind: preview.Changed, From: "1", To: "2"}, {Name: "mine", Kind: preview.Changed, From: "1", To: "2", Overridden: true}}
			}),
		},
		"ports, of which the user publishes some": {
			old: image.Config{ExposedPorts: set("80/tcp", "81/tcp", "82")}, fresh: image.Config{ExposedPorts: set("82/tcp", "83/udp", "84/tcp")},
			user: image.Config{ExposedPorts: set("80/tcp", "84/tcp")},
			want: empty(func(c *preview.Changes) {
				c.Ports = []preview.Change{
					{Name: "80/tcp", Kind: preview.Removed, Overridden: true}, {Name: "81/tcp", Kind: preview.Removed},
					{Name: "83/udp", Kind: preview.Added}, {Name: "84/tcp", Kind: preview.Added, Overridden: true},
				}
			}),
		},
		"volumes, of which some are mounted by the user": {
			old: image.Config{Volumes: set("/data/", "/gone", "/mine")}, fresh: image.Config{Volumes: set("/data", "/added", "/bound")},
			mounted: map[string]bool{"/mine": true, "/bound": true},
			want: empty(func(c *preview.Changes) {
				c.Volumes = []preview.Change{
					{Name: "/added", Kind: preview.Added}, {Name: "/bound", Kind: preview.Added, Overridden: true},
					{Name: "/gone", Kind: preview.Removed}, {Name: "/mine", Kind: preview.Removed, Overridden: true},
				}
			}),
		},
		"entrypoint and command": {
			old: image.Config{Entrypoint: []string{"a"}, Cmd: []string{"1"}}, fresh: image.Config{Entrypoint: []string{"b"}},
			want: empty(func(c *preview.Changes) {
				c.Entrypoint = &preview.ListChange{From: []string{"a"}, To: []string{"b"}}
				c.Cmd = &preview.ListChange{From: []string{"1"}}
			}),
		},
		"the user's entrypoint lets no command of the image in": {
			old: image.Config{Entrypoint: []string{"a"}, Cmd: []string{"1"}}, fresh: image.Config{Entrypoint: []string{"b"}, Cmd: []string{"2"}},
			user: image.Config{Entrypoint: []string{"mine"}},
			want: empty(func(c *preview.Changes) {
				c.Entrypoint = &preview.ListChange{From: []string{"a"}, To: []string{"b"}, Overridden: true}
				c.Cmd = &preview.ListChange{From: []string{"1"}, To: []string{"2"}, Overridden: true}
			}),
		},
		"the user's emptied entrypoint": {
			old: image.Config{Entrypoint: []string{"a"}}, fresh: image.Config{Entrypoint: []string{"b"}},
			user: image.Config{Entrypoint: []string{""}, Cmd: []string{"mine"}},
			want: empty(func(c *preview.Changes) {
				c.Entrypoint = &preview.ListChange{From: []string{"a"}, To: []string{"b"}, Overridden: true}
			}),
		},
		"the user's command goes with the image's entrypoint": {
			old: image.Config{Entrypoint: []string{"a"}, Cmd: []string{"1"}}, fresh: image.Config{Entrypoint: []string{"b"}, Cmd: []string{"2"}},
			user: image.Config{Cmd: []string{"mine"}},
			want: empty(func(c *preview.Changes) {
				c.Entrypoint = &preview.ListChange{From: []string{"a"}, To: []string{"b"}}
				c.Cmd = &preview.ListChange{From: []string{"1"}, To: []string{"2"}, Overridden: true}
			}),
		},
		"texts": {
			old: image.Config{User: "0", WorkingDir: "/a/", StopSignal: "SIGINT"}, fresh: image.Config{User: "7", WorkingDir: "/a", StopSignal: "SIGTERM"},
			user: image.Config{StopSignal: "SIGQUIT"},
			want: empty(func(c *preview.Changes) {
				c.User = &preview.TextChange{From: "0", To: "7"}
				c.StopSignal = &preview.TextChange{From: "SIGINT", To: "SIGTERM", Overridden: true}
			}),
		},
		"health check": {
			old: image.Config{Healthcheck: check(time.Second, "CMD", "a")}, fresh: image.Config{Healthcheck: check(time.Minute, "CMD", "a")},
			want: empty(func(c *preview.Changes) {
				c.Healthcheck = &preview.HealthChange{From: &preview.HealthCheck{Test: []string{"CMD", "a"}, Interval: "1s"}, To: &preview.HealthCheck{Test: []string{"CMD", "a"}, Interval: "1m0s"}}
			}),
		},
		"health check whose interval the user set": {
			old: image.Config{Healthcheck: check(time.Second, "CMD", "a")}, fresh: image.Config{Healthcheck: check(time.Minute, "CMD", "a")},
			user: image.Config{Healthcheck: check(time.Hour)},
			want: empty(func(c *preview.Changes) {
				c.Healthcheck = &preview.HealthChange{Overridden: true, From: &preview.HealthCheck{Test: []string{"CMD", "a"}, Interval: "1s"}, To: &preview.HealthCheck{Test: []string{"CMD", "a"}, Interval: "1m0s"}}
			}),
		},
		"health check that the user disabled": {
			old: image.Config{}, fresh: image.Config{Healthcheck: check(0, "CMD", "a")}, user: image.Config{Healthcheck: check(0, "NONE")},
			want: empty(func(c *preview.Changes) {
				c.Healthcheck = &preview.HealthChange{To: &preview.HealthCheck{Test: []string{"CMD", "a"}}} // the settings beside NONE do reach it
				c.Healthcheck.Overridden = true
			}),
		},
	} {
		got := preview.Compare(&c.old, c.fresh, preview.Container{Set: c.user, Mounted: c.mounted})
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if got.None() != (cmp.Diff(empty(nil), got) == "") {
			t.Errorf("%s: None is %v", name, got.None())
		}
	}
}

func TestOfAnImageThatIsGoneOnlyWhatReachesTheContainerIsTold(t *testing.T) {
	got := preview.Compare(nil, image.Config{Env: []string{"A=new", "B=1"}, User: "7", Entrypoint: []string{"b"}, Healthcheck: &image.Health{Test: []string{"CMD", "a"}}},
		preview.Container{Set: image.Config{Env: []string{"A=old"}, User: "0", Entrypoint: []string{"a"}}})
	want := empty(func(c *preview.Changes) {
		c.Env = []preview.Change{{Name: "B", Kind: preview.Added, To: "1"}}
		c.Healthcheck = &preview.HealthChange{To: &preview.HealthCheck{Test: []string{"CMD", "a"}}}
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhetherThereWouldBeAHealthCheck(t *testing.T) {
	checked, disabled := image.Config{Healthcheck: &image.Health{Test: []string{"CMD", "a"}}}, image.Config{Healthcheck: &image.Health{Test: []string{"NONE"}}}
	for name, c := range map[string]struct {
		img, user image.Config
		want      bool
	}{
		"none":     {image.Config{}, image.Config{}, false},
		"image's":  {checked, image.Config{}, true},
		"user's":   {image.Config{}, checked, true},
		"disabled": {checked, disabled, false},
		"interval": {image.Config{}, image.Config{Healthcheck: &image.Health{Interval: time.Second}}, false},
	} {
		if got := preview.Checked(c.img, preview.Container{Set: c.user}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
