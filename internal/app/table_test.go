package app

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/scanner"
)

func sample(now time.Time) scanner.Result {
	c := func(name, image string, s scanner.Status, running bool, age time.Duration, why string) scanner.ContainerStatus {
		return scanner.ContainerStatus{Name: name, Image: image, Status: s, Running: running, CreatedAt: now.Add(-age), Summary: why}
	}
	return scanner.Result{Containers: []scanner.ContainerStatus{
		c("blog", "nginx:latest", scanner.UpToDate, true, 26*time.Hour, "The registry has nothing newer."),
		c("db", "ghcr.io/example/db@sha256:"+strings.Repeat("ab", 32), scanner.Skipped, true, 90*24*time.Hour, "Its image is pinned to a digest."),
		c("old", "nginx:1", scanner.Unknown, false, 3*365*24*time.Hour, "It is stopped."),
		c("shop", "ghcr.io/example/a-rather-long-name/shop:stable", scanner.UpdateAvailable, true, 5*time.Minute, "It is now sha256:0123456789ab at the registry."),
	}}
}

func TestTheTableShowsWhatCanBeUpdatedFirst(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := `NAME  IMAGE                                           STATUS      AGE  WHY
shop  ghcr.io/example/a-rather-long-name/shop:stable  update      5m   It is now sha256:0123456789ab at the registry.
blog  nginx:latest                                    up to date  26h  The registry has nothing newer.
db    ghcr.io/example/db@sha256:abababababab          skipped     90d  Its image is pinned to a digest.

4 containers: 1 can be updated, 1 up to date, 1 skipped, 1 stopped and not checked
`
	if got := (table{now: now}).render(sample(now)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWhatPolicyHoldsBackIsCountedByItself(t *testing.T) {
	held := scanner.ContainerStatus{Name: "mail", Status: scanner.UpdateAvailable, Running: true, Policy: policy.Decision{ByHand: policy.WithForce}}
	if got := (table{}).render(scanner.Result{Containers: []scanner.ContainerStatus{held}}); !strings.HasSuffix(got, "1 container: 1 held back\n") {
		t.Errorf("%q", got)
	}
}

func TestTheTableFitsTheTerminal(t *testing.T) {
	now := time.Now()
	for _, width := range []int{80, 100, 120, 200} {
		for line := range strings.Lines(table{now: now, width: width}.render(sample(now))) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > width && !strings.Contains(line, "containers:") {
				t.Errorf("at %d columns a line has %d: %q", width, n, line)
			}
		}
	}
}

func TestColourIsOnlyForStatus(t *testing.T) {
	now := time.Now()
	out := table{now: now, colour: true}.render(sample(now))
	if !strings.Contains(out, "\x1b[33mupdate\x1b[0m") || !strings.Contains(out, "\x1b[32mup to date\x1b[0m") {
		t.Errorf("%q", out)
	}
}

func TestAnEmptyEngineIsSaidSo(t *testing.T) {
	if got := (table{}).render(scanner.Result{}); !strings.Contains(got, "no containers") {
		t.Errorf("%q", got)
	}
}
