package resource

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAnAgeIsReadAsPeopleWriteIt(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"720h": 720 * time.Hour, "30d": 720 * time.Hour, "0.5d": 12 * time.Hour, "90m": 90 * time.Minute,
		"": 0, "0": 0, "0d": 0, "-1h": 0, "-3d": 0, "NaNd": 0, "Infd": 0, "1e9d": 0, "999999h": 0, "d": 0, "3 d": 0, "tomorrow": 0,
	} {
		got, err := ParseAge(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestAParentGoesAfterItsChildrenAndNotWithoutThem(t *testing.T) {
	image := func(id string) Image { return Image{ID: id, Tags: []string{id + ":1"}} }
	parents := map[string]string{"child": "base", "grandchild": "child", "used": "other"}
	ordered, kept := childrenFirst([]Image{image("base"), image("other"), image("child"), image("grandchild")}, parents)
	var order []string
	for _, i := range ordered {
		order = append(order, i.ID)
	}
	if !slices.Equal(order, []string{"grandchild", "child", "base"}) || len(kept) != 1 || kept[0].ID != "other" || kept[0].Code != CodeImageParent {
		t.Errorf("order %v, kept %+v", order, kept)
	}
}

func TestNamesGoUntilOneRepositoryIsLeft(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("a", 64)
	for name, c := range map[string]struct{ tags, digests, want []string }{
		"nothing":             {},
		"one tag":             {[]string{"a:1"}, []string{"a" + digest}, nil},
		"two tags":            {[]string{"a:1", "a:2"}, []string{"a" + digest}, []string{"a:2"}},
		"two repositories":    {[]string{"a:1", "b:1"}, []string{"a" + digest, "b" + digest}, []string{"b:1"}},
		"a digest of another": {[]string{"a:1"}, []string{"a" + digest, "b" + digest}, []string{"b" + digest}},
		"digests alone":       {nil, []string{"a" + digest, "b" + digest}, []string{"b" + digest}},
	} {
		if got := (Image{Tags: c.tags, Digests: c.digests}).surplus(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestAnImageIsFoundByIdPrefixAndName(t *testing.T) {
	one, two := "sha256:"+strings.Repeat("ab", 32), "sha256:"+strings.Repeat("ab", 31)+"cd"
	all := []Image{{ID: one, Tags: []string{"nginx:latest"}}, {ID: two, Digests: []string{"app@sha256:" + strings.Repeat("c", 64)}}}
	for named, want := range map[string]string{
		one: one, strings.TrimPrefix(two, "sha256:"): two, "nginx": one, "docker.io/library/nginx:latest": one,
		"app@sha256:" + strings.Repeat("c", 64): two, one[:70]: one,
	} {
		if got, err := find(all, named); err != nil || got.ID != want {
			t.Errorf("%s: %s, %v", named, got.ID, err)
		}
	}
	var which *ConflictError
	if _, err := find(all, strings.Repeat("ab", 8)); !errors.As(err, &which) || which.Code != CodeWhichImage {
		t.Errorf("an ambiguous beginning: %v", err)
	}
	for _, named := range []string{"", "ab", "..", "-f", "../x", "nginx:2", "sha256:", "ababab"} {
		if _, err := find(all, named); !errors.Is(err, ErrNoImage) {
			t.Errorf("%q: %v", named, err)
		}
	}
}
