package app

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/preview"
)

func TestAPreviewIsLaidOutForATerminal(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	got := renderPreview(preview.Preview{
		Name: "web", Image: "acme/web:1",
		From: &preview.Release{Digest: "sha256:" + strings.Repeat("a", 64), Version: "1.0", CreatedAt: &at},
		To:   &preview.Release{Digest: "sha256:" + strings.Repeat("b", 64), Version: "1.1"},
		Link: &preview.Link{URL: "https://example.org/" + strings.Repeat("x", 80)}, Download: &preview.Download{Bytes: 12_340_000},
		Changes: preview.Changes{
			Env:        []preview.Change{{Name: "A", Kind: preview.Added, To: "1"}, {Name: "B", Kind: preview.Changed, To: "2", Overridden: true}, {Name: "C", Kind: preview.Removed, From: "3"}},
			Entrypoint: &preview.ListChange{From: []string{"/bin/sh", "-c", strings.Repeat("long ", 20)}, To: []string{"run"}},
			User:       &preview.TextChange{To: "7"},
		},
		Dependents: []preview.Dependent{{Name: "side", Action: "restarted"}}, Order: preview.Order{Stop: []string{"side", "web"}, Start: []string{"web", "side"}},
		Hooks: preview.Hooks{PreUpdate: "backup"}, Interruption: preview.Interruption{Text: "It is down for a moment."},
		Refused: &preview.Finding{Message: "No."}, Warnings: []preview.Finding{{Message: strings.Repeat("careful ", 12)}},
	})
	want := `web: acme/web:1
  from          aaaaaaaaaaaa  2026-01-02  1.0
  to            bbbbbbbbbbbb  1.1
  download      12.3 MB
  read          https://example.org/` + strings.Repeat("x", 80) + `
  env           + A=1
                (yours stays) ~ B: "" -> 2
                - C
  entrypoint    /bin/sh -c "long long long long long long long long long long l…
                -> run
  user          "" -> 7
  comes along   side (restarted)
  order         stop side, web; start web, side
  before        backup
  interruption  It is down for a moment.
  refused       No.
  warning       careful careful careful careful careful careful careful careful
                careful careful careful careful
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNothingOfAStrangersTextReachesTheTerminalRaw(t *testing.T) {
	evil := "\x1b]0;title\a\x1b[2J\r\nfake: line\u202e\u2028\x9b31m\xff\x00" + strings.Repeat("w", 300)
	change := func(k preview.Kind) preview.Change { return preview.Change{Name: evil, Kind: k, From: evil, To: evil} }
	list, text := &preview.ListChange{From: []string{evil}, To: []string{evil, ""}}, &preview.TextChange{From: evil, To: evil}
	changes := []preview.Change{change(preview.Added), change(preview.Changed), change(preview.Removed)}
	f := preview.Finding{Code: evil, Message: evil}
	p := preview.Preview{
		Name: evil, Image: evil, From: &preview.Release{Digest: evil, Version: evil}, To: &preview.Release{ImageID: evil, Version: evil},
		Error: &f, Refused: &f, Warnings: []preview.Finding{f}, Interruption: preview.Interruption{Text: evil}, Link: &preview.Link{URL: evil},
		Hooks: preview.Hooks{PreUpdate: evil, PostUpdate: evil}, Dependents: []preview.Dependent{{Name: evil}}, Order: preview.Order{Stop: []string{evil}},
		Changes: preview.Changes{Env: changes, Labels: changes, Ports: changes, Volumes: changes, Entrypoint: list, Cmd: list, User: text, WorkingDir: text, StopSignal: text,
			Healthcheck: &preview.HealthChange{To: &preview.HealthCheck{Test: []string{evil}, Interval: evil}}},
	}
	got := renderPreview(p)
	for line := range strings.Lines(got) {
		line = strings.TrimSuffix(line, "\n")
		if safe(line) != line || !utf8.ValidString(line) {
			t.Errorf("%q", line)
		}
		if strings.HasPrefix(line, "fake") {
			t.Errorf("a line of its own: %q", line)
		}
		if utf8.RuneCountInString(line) > sheetWidth && !strings.HasPrefix(strings.TrimSpace(line), "read ") {
			t.Errorf("%d columns: %q", utf8.RuneCountInString(line), line)
		}
	}
}

func TestALongListIsCut(t *testing.T) {
	p := preview.Preview{To: &preview.Release{}}
	for range 100_000 {
		p.Changes.Labels = append(p.Changes.Labels, preview.Change{Name: "a", Kind: preview.Added})
	}
	if got := renderPreview(p); strings.Count(got, "\n") > 40 || !strings.Contains(got, "and 99970 more") {
		t.Errorf("%d lines: %.3000s", strings.Count(got, "\n"), got)
	}
}

func TestTextIsWrapped(t *testing.T) {
	for in, want := range map[string][]string{
		"":                 nil,
		"a":                {"a"},
		"aaa bbb":          {"aaa", "bbb"},
		"a b c":            {"a b c"},
		"aaaaaaaaaaaa b":   {"aaaaa", "aaaaa", "aa b"},
		"x aaaaaaaaaaa b":  {"x", "aaaaa", "aaaaa", "a b"},
		"  a \t b\nc    d": {"a b c", "d"},
	} {
		if diff := cmp.Diff(want, wrap(in, 5)); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
}
