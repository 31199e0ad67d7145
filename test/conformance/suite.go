package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// ours is the command that is judged if no other is named.
const ours = "watch-docker update -all"

// closeTimeout bounds the clean-up.
const closeTimeout = time.Minute

// A trial is one case: what it's called, and what it asks for.
type trial struct{ name, must string }

// A group is cases that share runs of the updater. Judge gives a result for
// each of the cases that were chosen, by their names.
type group struct {
	name   string
	trials []trial
	judge  func(ctx context.Context, s *suite, chosen map[string]bool) (map[string]verdict, error)
}

// groups are all cases, in the order of the table.
func groups() []group { return slices.Concat(lanes()...) }

// lanes are groups that are judged one after the other, each lane on an engine of its own.
func lanes() [][]group {
	return [][]group{
		append(fidelityGroups(), stateGroup()),
		{gateGroup(), onceGroup(), dependentsGroup(), registryGroup(), killGroup()},
	}
}

// chosen are the names of the cases that a pattern matches, by group.
func chosen(pattern *regexp.Regexp) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for _, g := range groups() {
		for _, t := range g.trials {
			if pattern.MatchString(g.name + "/" + t.name) {
				if all[g.name] == nil {
					all[g.name] = map[string]bool{}
				}
				all[g.name][t.name] = true
			}
		}
	}
	return all
}

func list(out io.Writer, pattern *regexp.Regexp) {
	picked := chosen(pattern)
	for _, g := range groups() {
		for _, t := range g.trials {
			if picked[g.name][t.name] {
				_, _ = fmt.Fprintf(out, "%s/%s\n\t%s\n", g.name, t.name, t.must)
			}
		}
	}
}

// A suite is one engine, one registry and one updater.
type suite struct {
	*world
	updater *updater
	lane    string
}

// judge runs the chosen cases against the updater.
func judge(ctx context.Context, o options, choice testbed.EngineChoice, pattern *regexp.Regexp, log io.Writer) (r report, err error) {
	w, err := newWorld(ctx, choice, log)
	if err != nil {
		return r, err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		err = errors.Join(err, w.bed.Close(closing))
	}()
	u := &updater{command: o.updater, timeout: o.timeout, logs: o.logs}
	if o.updater == "" {
		u.command = ours
		if u.path, err = buildOurs(ctx, w.bed.Dir()); err != nil {
			return r, err
		}
	}
	if o.logs != "" {
		if err := os.MkdirAll(o.logs, 0o755); err != nil {
			return r, err
		}
	}
	return w.judge(ctx, u, pattern, log)
}

// judge lets all lanes run at once.
func (w *world) judge(ctx context.Context, u *updater, pattern *regexp.Regexp, log io.Writer) (report, error) {
	began := time.Now()
	r := report{Updater: u.command, Engine: w.engine.Version(), API: w.engine.APIVersion(), Date: began.UTC().Format(time.DateOnly)}
	picked := chosen(pattern)
	found := make([]map[string]map[string]verdict, len(lanes()))
	g, judging := errgroup.WithContext(ctx)
	for i, lane := range lanes() {
		lane = slices.DeleteFunc(lane, func(g group) bool { return len(picked[g.name]) == 0 })
		if len(lane) == 0 {
			continue
		}
		g.Go(func() (err error) {
			on := w
			if i > 0 {
				if on, err = w.another(judging); err != nil {
					return err
				}
			}
			s := &suite{world: on, updater: u, lane: fmt.Sprint("lane-", i)}
			found[i], err = s.judge(judging, lane, picked, log)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return r, err
	}
	for i, lane := range lanes() {
		for _, g := range lane {
			for _, t := range g.trials {
				if picked[g.name][t.name] {
					r.add(g.name, t.name, found[i][g.name][t.name])
				}
			}
		}
	}
	r.Seconds = int(time.Since(began).Seconds())
	return r, nil
}

// judge gives the verdicts of one lane, by group and case.
func (s *suite) judge(ctx context.Context, lane []group, picked map[string]map[string]bool, log io.Writer) (map[string]map[string]verdict, error) {
	all := map[string]map[string]verdict{}
	for _, g := range lane {
		began := time.Now()
		if err := s.clear(ctx); err != nil {
			return nil, err
		}
		verdicts, err := g.judge(ctx, s, picked[g.name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", g.name, err)
		}
		all[g.name] = verdicts
		_, _ = fmt.Fprintf(log, "conformance: %s: %d cases, %d s\n", g.name, len(picked[g.name]), int(time.Since(began).Seconds()))
	}
	return all, s.clear(ctx)
}

// buildOurs links Watch Docker as a release is, and returns the folder that it is in.
func buildOurs(ctx context.Context, dir string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the tree to build Watch Docker from (or name a command by -updater): %w", err)
	}
	dir = filepath.Join(dir, "bin")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "nomsgpack", "-ldflags", "-s -w", "-o", filepath.Join(dir, "watch-docker"), "cmd/watch-docker/main.go")
	cmd.Dir, cmd.Env = string(root[:len(root)-1]), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build Watch Docker: %w\n%s", err, out)
	}
	return dir, nil
}
