package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/test/inspection"
)

// The results of a case.
const (
	pass = "pass"
	fail = "FAIL"
	na   = "n/a"
)

// gone is what is wrong if no container has the name.
const gone = "no container has its name"

type verdict struct{ result, detail string }

// of is a pass, or a failure with all that was wrong.
func of(wrong []string) verdict {
	if len(wrong) == 0 {
		return verdict{pass, ""}
	}
	return verdict{fail, strings.Join(wrong, "; ")}
}

// find looks for the subject under its name, and for what is there of its
// images besides. There is no container if it's nil.
func (s *suite) find(ctx context.Context, sub *subject) (c *container.InspectResponse, wrong []string, err error) {
	all, err := s.containers(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, one := range all {
		name := strings.TrimPrefix(one.Name, "/")
		switch {
		case name == sub.name:
			c = &one
		case one.Image == sub.old || one.Image == sub.new:
			wrong = append(wrong, fmt.Sprintf("%s is left behind (%s)", name, one.State.Status))
		}
	}
	slices.Sort(wrong)
	if c == nil {
		wrong = append([]string{gone}, wrong...)
	}
	return c, wrong, nil
}

// which says what the container's image is to the subject.
func (sub *subject) which(c *container.InspectResponse) string {
	switch c.Image {
	case sub.old:
		return "the old image"
	case sub.new:
		return "the new image"
	}
	return "another image"
}

// runs asks for the container with an image, running.
func (sub *subject) runs(c *container.InspectResponse, image string) (wrong []string) {
	if c.Image != image {
		wrong = append(wrong, "it has "+sub.which(c))
	}
	if c.State.Status != container.StateRunning {
		wrong = append(wrong, state(c))
	}
	return wrong
}

// state is how a container is doing that should be running.
func state(c *container.InspectResponse) string {
	text := "it is " + string(c.State.Status)
	if c.State.Error != "" {
		text += ": " + short(c.State.Error)
	} else if c.State.ExitCode != 0 {
		text += fmt.Sprintf(" (exit code %d)", c.State.ExitCode)
	}
	return text
}

// untouched asks for the very container of before, as it was.
func (s *suite) untouched(ctx context.Context, sub *subject) ([]string, error) {
	c, wrong, err := s.find(ctx, sub)
	if err != nil || c == nil {
		return wrong, err
	}
	if c.ID != sub.id {
		wrong = append(wrong, "it was made anew, with "+sub.which(c))
	} else if c.State.StartedAt != sub.started {
		wrong = append(wrong, "it was restarted")
	}
	return wrong, nil
}

// likeBefore compares with what the container was before, but for how its process is doing.
func (s *suite) likeBefore(ctx context.Context, sub *subject) ([]string, error) {
	now, err := s.inspect(ctx, sub.name)
	if err != nil {
		return nil, err
	}
	return differences(sub.settings(sub.before), sub.settings(now)), nil
}

// likeControl takes the container away and makes it anew by the user's own
// create, from what the tag names now: that is what it should have been like.
// It runs if the container did.
func (s *suite) likeControl(ctx context.Context, sub *subject, make func(context.Context, *subject) error) ([]string, error) {
	got, err := s.inspect(ctx, sub.name)
	if err != nil {
		return nil, err
	}
	if _, err := s.api.ContainerRemove(ctx, sub.name, client.ContainerRemoveOptions{Force: true}); err != nil && !cerrdefs.IsNotFound(err) {
		return nil, err
	}
	if err := make(ctx, sub); err != nil {
		return nil, fmt.Errorf("make the control of %q: %w", sub.shape.name, err)
	}
	want, err := s.inspect(ctx, sub.name)
	if err != nil {
		return nil, err
	}
	return differences(sub.settings(want), sub.settings(got)), nil
}

// settings is what must be the same: all but ids, addresses that the engine
// chose, and how far the process has come.
func (sub *subject) settings(in map[string]any) map[string]any {
	known := strings.Join(slices.Concat(sub.args, sub.then, []string{sub.body}), " ")
	all := inspection.Normalise(in, known)
	delete(all, "State")
	delete(all, "RestartCount")
	sub.names(all)
	if config, ok := all["Config"].(map[string]any); ok {
		if labels, ok := config["Labels"].(map[string]any); ok {
			if id := labels[composeImage]; id == sub.old || id == sub.new {
				labels[composeImage] = "ITS IMAGE" // Compose would write the new one's; the old one's is what the user made it with
			}
		}
	}
	return all
}

// names puts host name and aliases in order. That the old container's id has
// become one of them counts in the cases that are about it, and not in all.
func (sub *subject) names(all map[string]any) {
	old := sub.id[:12]
	if config, ok := all["Config"].(map[string]any); ok && !sub.ids && config["Hostname"] == old {
		config["Hostname"] = "SHORTID"
	}
	settings, _ := all["NetworkSettings"].(map[string]any)
	networks, _ := settings["Networks"].(map[string]any)
	for _, n := range networks {
		endpoint, _ := n.(map[string]any)
		for _, key := range []string{"Aliases", "DNSNames"} {
			list, _ := endpoint[key].([]any)
			var kept []any
			for _, alias := range list {
				if sub.ids || alias != old {
					kept = append(kept, alias)
				}
			}
			slices.SortFunc(kept, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			endpoint[key] = slices.Compact(kept)
		}
	}
}

const composeImage = "com.docker.compose.image"

// kept asks for the files that were written before, as seen from inside.
func (s *suite) kept(ctx context.Context, sub *subject) (wrong []string) {
	for _, folder := range sub.data {
		text, err := s.docker(ctx, "exec", sub.name, "cat", folder+"/marker")
		if err != nil || text != markerText {
			wrong = append(wrong, "the data in "+folder+" is gone")
		}
	}
	return wrong
}

// differences lists the fields that differ in two inspects.
func differences(want, got map[string]any) []string {
	wants, gots := map[string]string{}, map[string]string{}
	leaves(nil, want, wants)
	leaves(nil, got, gots)
	var list []string
	keys := maps.Clone(wants)
	maps.Copy(keys, gots)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if wants[key] != gots[key] {
			list = append(list, fmt.Sprintf("%s is %s, not %s", key, short(gots[key]), short(wants[key])))
		}
	}
	return list
}

// leaves flattens an inspect to fields and their JSON. A field of the engine's
// own that is empty means the same as none.
func leaves(path []string, v any, into map[string]string) {
	own := len(path) <= 2 || len(path) <= 4 && path[0] == "NetworkSettings" && path[1] == "Networks"
	m, isMap := v.(map[string]any)
	list, isList := v.([]any)
	switch {
	case own && (v == nil || isMap && len(m) == 0 || isList && len(list) == 0):
		return
	case isMap && len(m) > 0:
		for key, inner := range m {
			leaves(append(slices.Clone(path), key), inner, into)
		}
	default:
		text, _ := json.Marshal(v)
		into[strings.Join(path, ".")] = string(text)
	}
}

func short(text string) string {
	const most = 60
	switch text {
	case "":
		return "unset"
	case "null", "{}":
		return "set" // an entry of a set
	}
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
