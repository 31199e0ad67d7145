// Command doctor asks the path doctor about paths, from where it runs: the
// tests put it into a container of Watch Docker's own image.
//
//	doctor '{"shown":["/srv/stacks"],"state":"/config","sources":[{"Path":"/srv/stacks/app/data","Kind":"bind"}]}'
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/watch-docker/watch-docker/internal/app"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/hostpath"
)

// Question is the argument.
type Question struct {
	Shown   []string          `json:"shown"`
	State   string            `json:"state"`
	Sources []hostpath.Source `json:"sources"`
}

// Answers are what is written.
type Answers struct {
	// Confirmed: the engine has the first of the folders that are shown.
	Confirmed bool     `json:"confirmed"`
	Sources   []Answer `json:"sources"`
}

// Answer is about one source.
type Answer struct {
	Finding hostpath.Finding `json:"finding"`
	Holds   bool             `json:"holds"`  // our own state
	AtPath  string           `json:"atPath"` // what we see, and show, at the path: the content of a file, or of a folder's file marker
	AtOurs  string           `json:"atOurs"` // what we see where the finding says that it is seen
}

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "doctor:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, question string) (err error) {
	var q Question
	if err := json.Unmarshal([]byte(question), &q); err != nil {
		return err
	}
	engine, err := dockercli.New(dockercli.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	d, err := app.PathDoctor(ctx, engine, q.Shown, "watch-docker")
	if err != nil {
		return err
	}
	var all Answers
	if all.Confirmed, err = d.Confirm(ctx, q.Shown[0]); err != nil {
		return err
	}
	for _, s := range q.Sources {
		f := d.Judge(ctx, s)
		all.Sources = append(all.Sources, Answer{Finding: f, Holds: d.Holds(s.Path, q.State), AtPath: content(s.Path), AtOurs: content(f.Ours)})
	}
	return json.NewEncoder(os.Stdout).Encode(all)
}

func content(name string) string {
	if name == "" {
		return ""
	}
	text, err := os.ReadFile(name)
	if err != nil {
		text, _ = os.ReadFile(filepath.Join(name, "marker")) // nothing there is an answer as well
	}
	return strings.TrimSpace(string(text))
}
