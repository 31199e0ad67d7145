package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/test/testbed"
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(mutantVariable); kind != "" {
		if err := runMutant(context.Background(), kind); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// some is a pattern of whole names.
func some(names ...string) *regexp.Regexp {
	for i, name := range names {
		names[i] = regexp.QuoteMeta(name)
	}
	return regexp.MustCompile("^(" + strings.Join(names, "|") + ")$")
}

// TestJudgement shows that the suite is clean for ours, and that it finds what
// bad updaters do wrong: each fails just the cases that it should.
func TestJudgement(t *testing.T) {
	w, err := newWorld(t.Context(), testbed.PrivateEngine, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.bed.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	built := testbed.Must(buildOurs(t.Context(), w.bed.Dir()))(t)
	variables, beside, missing, platform := "fidelity-defaults/variables", "state/running beside them", "gate/entrypoint missing", "registry/this platform's image is new"
	for _, c := range []struct {
		name, command string
		fails, passes []string
	}{
		{"ours", ours, nil, []string{
			variables, "fidelity-settings/entrypoint set", "fidelity-network/three networks", "fidelity-storage/removed at its end", beside, "state/paused",
			missing, "gate/unhealthy", "once/entrypoint missing", "once/the release after it", "dependents/network", platform,
			"registry/another platform's image is new", "kill/the updater: old one ended", "kill/the engine: old one ended",
		}},
		{"nothing", "true", []string{variables, beside, "gate/a job that ends with 0", "dependents/network", platform, "kill/nobody"},
			[]string{"registry/another platform's image is new"}},
		{"bare", mutate("bare"), []string{"fidelity-settings/variables set", "fidelity-storage/anonymous volume", "dependents/network", missing}, []string{platform}},
		{"frozen", mutate("frozen"), []string{variables, "fidelity-storage/anonymous volume", "fidelity-network/host name of the id", missing, "kill/the updater: old one removed"},
			[]string{platform}},
		{"leaves", mutate("leaves"), []string{beside, "kill/nobody"}, []string{platform}},
		{"meddles", mutate("meddles"), []string{"state/never started", "state/paused", "registry/another platform's image is new"}, []string{platform}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := &updater{command: c.command, path: built, timeout: time.Minute}
			r, err := w.judge(t.Context(), u, some(slices.Concat(c.fails, c.passes)...), t.Output())
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range r.Results {
				want := pass
				if slices.Contains(c.fails, one.Group+"/"+one.Case) {
					want = fail
				}
				if one.Result != want {
					t.Errorf("%s/%s: %s %s; want %s", one.Group, one.Case, one.Result, one.Detail, want)
				}
				t.Logf("%s/%s: %s %s", one.Group, one.Case, one.Result, one.Detail)
			}
			if clean := r.exitCode() == exitClean; clean != (len(c.fails) == 0) {
				t.Errorf("exit code %d", r.exitCode())
			}
		})
	}
}

func TestAnUpdaterThatDoesNotEndFails(t *testing.T) {
	w, err := newWorld(t.Context(), testbed.PrivateEngine, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.bed.Close(context.WithoutCancel(t.Context())) })
	u := &updater{command: "sleep 100", timeout: time.Second, logs: t.TempDir()}
	r, err := w.judge(t.Context(), u, some("state/paused", "kill/nobody"), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range r.Results {
		if one.Result != fail || !strings.Contains(one.Detail, "doesn't end within 1s") {
			t.Errorf("%+v", one)
		}
	}
	if logs, _ := filepath.Glob(filepath.Join(u.logs, "*.log")); len(logs) != 2 {
		t.Errorf("logs: %v", logs)
	}
}

func TestTheCommandLine(t *testing.T) {
	results := filepath.Join(t.TempDir(), "a.json")
	var text bytes.Buffer
	r := report{Updater: "x", Engine: "20.10", Results: []result{{"gate", "unhealthy", fail, "it has | the new image"}, {"gate", "entrypoint missing", pass, ""}}}
	if err := r.print(&text, options{json: true}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(results, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--help"}, exitClean, "COMMAND is anything"},
		{[]string{"-list", "-run", "gate/unhealthy"}, exitClean, "gate/unhealthy\n\tthe old container"},
		{[]string{"--compare", "a=" + results + ",b=" + results}, exitClean, "| gate | unhealthy | FAIL | FAIL |"},
		{[]string{"-compare", "nothing"}, exitBroken, "NAME=FILE"},
		{[]string{"-updater", "a", "-all"}, exitUsage, "-all"},
		{[]string{"update", "-all"}, exitUsage, "in quotes"},
		{[]string{"-engine", "mine"}, exitUsage, "oldest or newest"},
		{[]string{"-run", "nothing such"}, exitUsage, "-list"},
		{[]string{"-run", "("}, exitUsage, "-run"},
		{[]string{"-timeout", "0"}, exitUsage, "-timeout"},
	} {
		var out bytes.Buffer
		if code := program(t.Context(), c.args, &out, io.MultiWriter(&out, t.Output())); code != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("%v: %d %s; want %d and %q", c.args, code, &out, c.code, c.says)
		}
	}
	for form, want := range map[options]string{{}: "gate  1 passed  1 failed", {markdown: true}: `| gate | unhealthy | FAIL | it has \| the new image |`} {
		text.Reset()
		if err := r.print(&text, form); err != nil || !strings.Contains(text.String(), want) {
			t.Errorf("%v in %s; want %q", err, &text, want)
		}
	}
}

// TestCasesHaveNamesOfTheirOwn: what a container, an image or a line of the
// table is called is made of a case's name.
func TestCasesHaveNamesOfTheirOwn(t *testing.T) {
	for _, g := range groups() {
		seen := map[string]bool{}
		for _, one := range g.trials {
			if name := slug(one.name); seen[name] || name == "" || one.must == "" {
				t.Errorf("%s/%s: %q", g.name, one.name, one.must)
			}
			seen[slug(one.name)] = true
		}
	}
}

func TestDifferences(t *testing.T) {
	inspect := func(config string, mounts ...any) map[string]any {
		return map[string]any{"Config": map[string]any{"Image": config, "Labels": map[string]any{"empty": ""}, "Volumes": map[string]any{"/a": map[string]any{}}}, "Mounts": mounts}
	}
	a, b := inspect("one"), inspect("two", "/m")
	delete(b["Config"].(map[string]any)["Labels"].(map[string]any), "empty")
	b["Config"].(map[string]any)["Volumes"] = map[string]any{}
	want := []string{`Config.Image is "two", not "one"`, `Config.Labels.empty is unset, not ""`, `Config.Volumes./a is unset, not set`, `Mounts is ["/m"], not unset`}
	if got := differences(a, b); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := differences(a, inspect("one")); len(got) > 0 {
		t.Errorf("%q", got)
	}
}
