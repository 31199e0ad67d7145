// Command mutate takes the program's defences out, one at a time, and checks
// that the attack suite notices: a test that passes without the defence that
// it is about shows nothing.
//
//	go run ./test/attack/mutate [-run NAME] [-list]
//
// Each mutation is made in a copy of the source tree; the tree itself is left
// alone.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	pattern := flag.String("run", "", "only mutations whose name matches this regular expression")
	list := flag.Bool("list", false, "only say what there is")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, *pattern, *list)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, pattern string, list bool) error {
	matches, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	chosen := slices.DeleteFunc(mutations(), func(m mutation) bool { return !matches.MatchString(m.name) })
	if len(chosen) == 0 {
		return fmt.Errorf("no mutation matches %s", pattern)
	}
	if list {
		for _, m := range chosen {
			printf(out, "%s: %s\n", m.name, strings.Join(m.tests, ", "))
		}
		return nil
	}
	tree, err := copyTree(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tree) //nolint:errcheck // a folder of its own in the temporary folder
	if err := passes(ctx, out, tree, chosen); err != nil {
		return err
	}
	var survived []string
	for _, m := range chosen {
		began := time.Now()
		missed, err := m.try(ctx, tree)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", m.name, err)
		case len(missed) > 0:
			survived = append(survived, m.name)
			printf(out, "NOT SEEN %s by %s (%s)\n", m.name, strings.Join(missed, ", "), time.Since(began).Round(time.Second))
		default:
			printf(out, "seen     %s by %s (%s)\n", m.name, strings.Join(m.tests, ", "), time.Since(began).Round(time.Second))
		}
	}
	if len(survived) > 0 {
		return fmt.Errorf("%d of %d mutations were not seen: %s", len(survived), len(chosen), strings.Join(survived, ", "))
	}
	printf(out, "all %d mutations were seen\n", len(chosen))
	return nil
}

func printf(out io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }

// passes runs the chosen tests on the tree as it is: what fails anyway shows
// nothing.
func passes(ctx context.Context, out io.Writer, tree string, chosen []mutation) error {
	var tests []string
	for _, m := range chosen {
		tests = append(tests, m.tests...)
	}
	slices.Sort(tests)
	tests = slices.Compact(tests)
	failed, text, err := runTests(ctx, tree, tests)
	if err == nil && len(failed) > 0 {
		err = fmt.Errorf("without a mutation %s fail: %s", strings.Join(failed, ", "), tail(text))
	}
	if err == nil {
		printf(out, "without a mutation %d tests pass\n", len(tests))
	}
	return err
}

// try gives the tests that pass although the defence is out.
func (m mutation) try(ctx context.Context, tree string) (missed []string, err error) {
	restore, err := m.apply(tree)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, restore()) }()
	failed, _, err := runTests(ctx, tree, m.tests)
	for _, test := range m.tests {
		if !slices.Contains(failed, test) {
			missed = append(missed, test)
		}
	}
	return missed, err
}

// apply makes the edits in the tree, or none of them.
func (m mutation) apply(tree string) (restore func() error, err error) {
	was := map[string][]byte{}
	restore = func() (err error) {
		for file, text := range was {
			err = errors.Join(err, os.WriteFile(file, text, 0o600))
		}
		return err
	}
	for _, e := range m.edits {
		file := filepath.Join(tree, e.file)
		text, err := os.ReadFile(file)
		if err == nil && was[file] == nil {
			was[file] = text
		}
		if err == nil {
			text, err = e.on(text)
		}
		if err == nil {
			err = os.WriteFile(file, text, 0o600)
		}
		if err != nil {
			return nil, errors.Join(err, restore())
		}
	}
	return restore, nil
}

// on makes the edit in a file's text.
func (e edit) on(text []byte) ([]byte, error) {
	if n := bytes.Count(text, []byte(e.old)); n != 1 {
		return nil, fmt.Errorf("%s has the text %d times, and not once: %s", e.file, n, e.old)
	}
	return bytes.Replace(text, []byte(e.old), []byte(e.new), 1), nil
}

// runTests gives the named tests that fail. That they don't compile, or that
// one isn't run, is an error.
func runTests(ctx context.Context, tree string, tests []string) (failed []string, text string, err error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-tags", "nomsgpack", "-vet=off", "-count=1", "-timeout=8m", "-v",
		"-run", "^("+strings.Join(tests, "|")+")$", "./test/attack")
	cmd.Dir = tree
	output, runErr := cmd.CombinedOutput()
	text = string(output)
	for _, test := range tests {
		switch {
		case strings.Contains(text, "--- FAIL: "+test+" "):
			failed = append(failed, test)
		case strings.Contains(text, "--- PASS: "+test+" "):
		case strings.Contains(text, "=== RUN   "+test+"\n") && (strings.Contains(text, "panic:") || strings.Contains(text, "fatal error:")):
			failed = append(failed, test) // it took the others with it
		default:
			return nil, text, fmt.Errorf("%s has not run (%w): %s", test, errors.Join(runErr, ctx.Err()), tail(text))
		}
	}
	return failed, text, nil
}

func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, `{"level":`) })
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// copyTree copies what git has, and what it would take, into a new folder.
func copyTree(ctx context.Context) (tree string, err error) {
	root, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return "", fmt.Errorf("find the source tree: %w", err)
	}
	from := strings.TrimSpace(string(root))
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = from
	files, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("list the source tree: %w", err)
	}
	if tree, err = os.MkdirTemp("", "watch-docker-mutate-"); err != nil {
		return "", err
	}
	for name := range strings.SplitSeq(strings.Trim(string(files), "\x00"), "\x00") {
		if err := copyFile(filepath.Join(from, name), filepath.Join(tree, name)); err != nil {
			return "", errors.Join(err, os.RemoveAll(tree))
		}
	}
	return tree, nil
}

func copyFile(from, to string) error {
	info, err := os.Lstat(from)
	if errors.Is(err, os.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil // removed since, or a link that no package needs
	}
	if err != nil {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.WriteFile(to, text, info.Mode().Perm()|0o600)
}
