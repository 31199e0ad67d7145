package scanner_test

import (
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/scanner"
)

// following is a container of app:1.4 that follows newer tags, and its registry.
func following(t *testing.T, labels ...string) (*fakeRegistry, *fakeEngine) {
	t.Helper()
	r := newRegistry(t)
	one := r.put("1.4", manifest("c1", "l1"))
	e := &fakeEngine{}
	e.image(r, digest("c1"), one)
	e.run("app", r.app()+":1.4", digest("c1"), "", append([]string{"watchdocker.track=minor"}, labels...)...)
	return r, e
}

func TestANewerTagIsAnUpdate(t *testing.T) {
	r, e := following(t)
	e.run("other", r.app()+":1.4", digest("c1"), "", "watchdocker.track=major")
	e.run("third", r.app()+":1.4", digest("c1"), "")
	s, st := newScanner(t, e)
	all := scan(t, s)
	expect(t, all["app"], scanner.UpToDate, "allowed")
	if c := all["app"]; c.NewerTag != "" || c.NewerDigest != "" {
		t.Errorf("newer: %s %s", c.NewerTag, c.NewerDigest)
	}

	two := r.put("1.5", manifest("c2", "l2"))
	r.put("1.5-alpine", manifest("c4", "l4"))
	three := r.put("2.0", manifest("c3", "l3"))
	all = scan(t, s)
	expect(t, all["app"], scanner.UpdateAvailable, "allowed")
	expect(t, all["other"], scanner.UpdateAvailable, "allowed")
	expect(t, all["third"], scanner.UpToDate, "allowed")
	if c := all["app"]; c.NewerTag != "1.5" || c.NewerDigest != two || !strings.Contains(c.Summary, "app:1.5 is there, and watchdocker.track=minor follows it.") {
		t.Errorf("newer: %s %s, %q", c.NewerTag, c.NewerDigest, c.Summary)
	}
	if c := all["other"]; c.NewerTag != "2.0" || c.NewerDigest != three {
		t.Errorf("newer: %s %s", c.NewerTag, c.NewerDigest)
	}

	if err := st.Quarantine(t.Context(), "app", two, "op"); err != nil {
		t.Fatal(err)
	}
	c := scan(t, s)["app"]
	expect(t, c, scanner.UpdateAvailable, "quarantined")
	if c.NewerTag != "1.5" || c.Quarantined == nil || !strings.Contains(c.Summary, "app:1.5 is now") {
		t.Errorf("%+v", c)
	}
	moved := r.put("1.4", manifest("c5", "l5"))
	c = scan(t, s)["app"]
	expect(t, c, scanner.UpdateAvailable, "allowed")
	if c.NewerTag != "" || c.RemoteDigest != moved {
		t.Errorf("the tag in use has moved: newer %q, remote %s", c.NewerTag, c.RemoteDigest)
	}
}

func TestAContainerThatWentToTheNewerTagIsUpToDateAtOnce(t *testing.T) {
	r, e := following(t)
	r.put("1.5", manifest("c2", "l2"))
	s, _ := newScanner(t, e)
	c := scan(t, s)["app"]
	e.list = nil
	e.image(r, digest("c2"), c.NewerDigest)
	e.run("app", r.app()+":1.5", digest("c2"), "", "watchdocker.track=minor")
	r.requests()
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, byName(s.Latest())["app"], scanner.UpToDate, "allowed")
	if n := r.requests(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestMinAgeCountsForTheNewerTagsRelease(t *testing.T) {
	r, e := following(t, "watchdocker.minAge=72h")
	r.put("1.5", manifest("c2", "l2"))
	s, _ := newScanner(t, e)
	c := scan(t, s)["app"]
	expect(t, c, scanner.UpdateAvailable, "too_young")
	if c.NewerTag != "1.5" {
		t.Errorf("newer: %q", c.NewerTag)
	}
}

func TestTheSameImageUnderANewerTagIsNoUpdate(t *testing.T) {
	r, e := following(t)
	r.put("1.5", manifest("c1", "l1"))
	r.put("1.6", index(digest("gone"), digest("gone too")))
	s, _ := newScanner(t, e)
	expect(t, scan(t, s)["app"], scanner.Failed, "registry_not_found") // of 1.6

	r.put("1.6", strings.ReplaceAll(index(digest("x"), digest("y")), "amd64", "s390x"))
	c := scan(t, s)["app"]
	expect(t, c, scanner.UpToDate, "allowed") // 1.6 isn't for this platform
	if c.NewerTag != "" {
		t.Errorf("newer: %q", c.NewerTag)
	}
	r.put("1.7", manifest("c1", "l1"))
	expect(t, scan(t, s)["app"], scanner.UpToDate, "allowed")
}

func TestTagsThatCannotBeListedAreNotUpToDate(t *testing.T) {
	r, e := following(t)
	e.run("other", r.app()+":1.4", digest("c1"), "")
	r.fail["tags"] = 403
	s, _ := newScanner(t, e)
	all := scan(t, s)
	expect(t, all["app"], scanner.Failed, "registry_unauthorized")
	expect(t, all["other"], scanner.UpToDate, "allowed")
}

func TestNobodyElsesLabelAsksForTags(t *testing.T) {
	r, e := following(t)
	r.put("1.5", manifest("c2", "l2"))
	img := e.images[digest("c1")]
	img.Labels = map[string]string{"watchdocker.track": "minor"} // the image's own
	e.images[digest("c1")] = img
	s, _ := newScanner(t, e)
	r.requests()
	expect(t, scan(t, s)["app"], scanner.UpToDate, "allowed")
	if n := r.requests(); n > 2 { // HEAD, over HTTPS first
		t.Errorf("%d requests", n)
	}
}
