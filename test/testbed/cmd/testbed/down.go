package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/watch-docker/watch-docker/test/testbed"
)

func down(ctx context.Context, args []string, out, log io.Writer) error {
	set := flags("down", log)
	all := set.Bool("all", false, "take down all of this user's detached testbeds")
	env := set.String("env", "", "take down the one that `up -env FILE` wrote about")
	if err := set.Parse(args); err != nil {
		return flag.ErrHelp
	}
	ids := set.Args()
	if *env != "" {
		id, err := idIn(*env)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	beds, err := testbed.Detached()
	if err != nil {
		return err
	}
	if beds, err = choose(beds, ids, *all); err != nil {
		return err
	}
	var errs []error
	for _, bed := range beds {
		errs = append(errs, bed.Down(ctx))
		_, _ = fmt.Fprintln(out, "took down", bed.ID)
	}
	return errors.Join(append(errs, testbed.Sweep(ctx, log))...)
}

// choose picks the beds to take down. Without a name it must be plain which
// one is meant: somebody else may have brought up theirs.
func choose(beds []testbed.Info, ids []string, all bool) ([]testbed.Info, error) {
	if all {
		return beds, nil
	}
	if len(ids) == 0 {
		if len(beds) == 1 {
			return beds, nil
		}
		return nil, severalError(beds)
	}
	var chosen []testbed.Info
	for _, id := range ids {
		i := slices.IndexFunc(beds, func(b testbed.Info) bool { return b.ID == id })
		if i < 0 {
			return nil, fmt.Errorf("no detached testbed %s is up", id)
		}
		chosen = append(chosen, beds[i])
	}
	return chosen, nil
}

func severalError(beds []testbed.Info) error {
	if len(beds) == 0 {
		return errors.New("no detached testbed is up")
	}
	var text strings.Builder
	text.WriteString("several are up: name one, or say -all:")
	for _, b := range beds {
		text.WriteString("\n  " + b.ID + "  " + b.Dir)
	}
	return errors.New(text.String())
}

// idIn reads a bed's id from its environment file.
func idIn(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("find the testbed: %w", err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "TESTBED_ID="); ok {
			return id, nil
		}
	}
	return "", fmt.Errorf("find the testbed: %s has no TESTBED_ID", path)
}
