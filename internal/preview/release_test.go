package preview_test

import (
	"strings"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/preview"
)

func release(labels ...string) *preview.Release {
	all := map[string]string{}
	for i := 0; i < len(labels); i += 2 {
		all["org.opencontainers.image."+labels[i]] = labels[i+1]
	}
	return preview.ReleaseOf(image.Description{Config: image.Config{Labels: all}}, "sha256:1")
}

func TestAStrangersURLComesThroughOnlyIfItIsAPlainWebPage(t *testing.T) {
	for in, want := range map[string]string{
		"https://github.com/o/r":                           "https://github.com/o/r",
		" http://EXAMPLE.org:8080/a?b=c#d ":                "http://example.org:8080/a?b=c#d",
		"https://example.org/a b/é":                        "https://example.org/a%20b/%C3%A9",
		"javascript:alert(1)":                              "",
		"JavaScript://example.org/%0aalert(1)":             "",
		"data:text/html,<script>":                          "",
		"//example.org/x":                                  "",
		"https://":                                         "",
		"github.com/o/r":                                   "",
		"git@github.com:o/r.git":                           "",
		"https://bob:secret@example.org/":                  "",
		"https://github.com@evil.example/":                 "",
		"https://exämple.org/":                             "",
		"https://example.org/\x1b[2J":                      "",
		"https://example.org/?a=\"onclick=":                "",
		"https://example.org/?a=<b>":                       "",
		"https://example.org/?a=\u202egpj":                 "",
		"https://example.org/" + strings.Repeat("a", 2000): "",
		"https://example.org\n":                            "https://example.org",
		"https://exa\nmple.org":                            "",
		"file:///etc/passwd":                               "",
		"https://example.org/\"'><b>":                      "https://example.org/%22%27%3E%3Cb%3E",
	} {
		got := release("source", in).Source
		if got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
		if strings.ContainsAny(got, "\"<>\\ \x1b\n") {
			t.Errorf("%q gives %q", in, got)
		}
	}
}

func TestAStrangersTextIsOnePrintableLine(t *testing.T) {
	r := release("version", "1.2\x1b[31m\n3\u202e\xff", "title", strings.Repeat("ü", 500), "revision", "\x00")
	if r.Version != "1.2[31m 3" || len([]rune(r.Title)) != 200 || r.Revision != "" {
		t.Errorf("%+v", r)
	}
}

func TestWhenAnImageWasMade(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	label := map[string]string{"org.opencontainers.image.created": "2026-03-04T06:06:07+01:00"}
	for name, c := range map[string]struct {
		created time.Time
		labels  map[string]string
		want    *time.Time
	}{
		"it says":                   {at, nil, &at},
		"it says nothing":           {time.Time{}, nil, nil},
		"1970, and a label":         {time.Unix(0, 0), label, &at},
		"1980, and none":            {time.Date(1980, 1, 1, 0, 0, 1, 0, time.UTC), nil, nil},
		"nonsense":                  {time.Time{}, map[string]string{"org.opencontainers.image.created": "yesterday"}, nil},
		"its own word counts first": {at, map[string]string{"org.opencontainers.image.created": "2020-01-01T00:00:00Z"}, &at},
	} {
		got := preview.ReleaseOf(image.Description{CreatedAt: c.created, Config: image.Config{Labels: c.labels}}, "").CreatedAt
		if (got == nil) != (c.want == nil) || got != nil && !got.Equal(*c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestWhereToReadAboutTheDifference(t *testing.T) {
	const a, b = "0123456789abcdef0123456789abcdef01234567", "fedcba9876543210fedcba9876543210fedcba98"
	for name, c := range map[string]struct {
		from, to *preview.Release
		kind     preview.LinkKind
		url      string
	}{
		"GitHub": {release("source", "https://github.com/O/r", "revision", a), release("source", "https://github.com/o/r.git", "revision", b),
			preview.LinkCompare, "https://github.com/o/r/compare/0123456789ab...fedcba987654"},
		"GitHub, a folder": {release("source", "https://github.com/o/r", "revision", a), release("source", "https://github.com/o/r/tree/main/x#y", "revision", b),
			preview.LinkCompare, "https://github.com/o/r/compare/0123456789ab...fedcba987654"},
		"GitLab, a group in a group": {release("source", "https://gitlab.example.org/g/h/r", "revision", a), release("source", "https://gitlab.example.org/g/h/r/-/tree/x", "revision", b),
			preview.LinkCompare, "https://gitlab.example.org/g/h/r/-/compare/0123456789ab...fedcba987654"},
		"Codeberg": {release("source", "https://codeberg.org/o/r/", "revision", a), release("source", "https://codeberg.org/o/r", "revision", b),
			preview.LinkCompare, "https://codeberg.org/o/r/compare/0123456789ab...fedcba987654"},
		"the same revision": {release("source", "https://github.com/o/r", "revision", a), release("source", "https://github.com/o/r", "revision", a, "version", "2"),
			preview.LinkReleases, "https://github.com/o/r/releases"},
		"another repository": {release("source", "https://github.com/o/q", "revision", a), release("source", "https://github.com/o/r", "revision", b),
			preview.LinkSource, "https://github.com/o/r"},
		"the old one is gone": {nil, release("source", "https://github.com/o/r", "revision", b, "version", "2"), preview.LinkReleases, "https://github.com/o/r/releases"},
		"a revision that is none": {release("source", "https://github.com/o/r", "revision", "../../x"), release("source", "https://github.com/o/r", "revision", b),
			preview.LinkSource, "https://github.com/o/r"},
		"no known forge": {release("source", "https://git.example.org/r", "revision", a), release("source", "https://git.example.org/r", "revision", b, "version", "2"),
			preview.LinkSource, "https://git.example.org/r"},
		"only the look of GitHub": {release("source", "https://notgithub.com/o/r", "revision", a), release("source", "https://notgithub.com/o/r", "revision", b),
			preview.LinkSource, "https://notgithub.com/o/r"},
		"an owner alone": {nil, release("source", "https://github.com/o", "version", "2"), preview.LinkSource, "https://github.com/o"},
		"a page":         {nil, release("url", "https://example.org/app", "source", "git@github.com:o/r"), preview.LinkURL, "https://example.org/app"},
		"nothing":        {nil, release("version", "2"), "", ""},
		"nothing known":  {release("source", "https://github.com/o/r"), nil, "", ""},
	} {
		got := preview.LinkTo(c.from, c.to)
		if got == nil {
			got = &preview.Link{}
		}
		if got.Kind != c.kind || got.URL != c.url {
			t.Errorf("%s: %+v, want %s %s", name, *got, c.kind, c.url)
		}
	}
}

func TestWhatHasToBeDownloaded(t *testing.T) {
	layer := func(id string, size int64) image.Layer { return image.Layer{DiffID: id, Size: size} }
	got := preview.DownloadOf([]image.Layer{layer("a", 0), layer("b", 0)}, []image.Layer{layer("a", 100), layer("c", 20), layer("d", 3), layer("c", 20)})
	if *got != (preview.Download{Bytes: 23, Layers: 2}) {
		t.Errorf("%+v", got)
	}
}
