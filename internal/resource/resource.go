// Package resource looks after what containers are made of: images, volumes
// and networks. It says who uses each, and removes what nobody does. What is to
// go is decided here, from lists, and removed one by one: so a preview and what
// is done afterwards can't differ but by what has happened in between, and what
// a rollback needs isn't taken for litter.
package resource

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/registry"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/task"
)

// The kinds of operations.
const (
	KindPull  = "pull"
	KindPrune = "prune"
)

// How long sizes are waited for: in a list, which is fine without, and where
// they are what was asked for.
const (
	glance  = 5 * time.Second
	measure = time.Minute
)

// Errors. The engine's own come as they are.
var (
	ErrNoImage   = errors.New("no such image")
	ErrNoVolume  = errors.New("no such volume")
	ErrNoNetwork = errors.New("no such network")
)

// ConflictError says why something isn't removed.
type ConflictError struct {
	Code    string
	Message string // a sentence, which names who is in the way
}

func (e *ConflictError) Error() string { return e.Message }

// Codes of conflicts, and of what a prune leaves alone.
const (
	CodeWhichImage  = "image_ambiguous"
	CodeWhichNet    = "network_ambiguous"
	CodeRollback    = "image_needed_for_rollback"
	CodeOperation   = "image_in_operation"
	CodeImageInUse  = "image_in_use"
	CodeImageParent = "image_has_children"
	CodeVolumeInUse = "volume_in_use"
	CodeVolumeNamed = "volume_has_a_name"
	CodeNetworkUsed = "network_in_use"
	CodePredefined  = "network_predefined"
	CodeSwarm       = "network_of_swarm"
	CodeChanged     = "changed_meanwhile"
	CodeEngineSays  = "conflict" // the message is the engine's
)

// Dependencies are what New needs.
type Dependencies struct {
	Engine      *dockercli.Client
	Store       *store.Store
	Tasks       *task.Runner
	Credentials func() registry.CredentialSource // as configured now
	// Reserved gives the images that updates under way are about to need, by
	// id or by the reference that they pull: the container's name for each.
	Reserved func() map[string]string
}

// Service is all of it. Safe for concurrent use.
type Service struct{ Dependencies }

// New needs no end.
func New(d Dependencies) *Service { return &Service{d} }

// UsedBy is a container that uses a volume or a network, running or not.
type UsedBy struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	State   string `json:"state" example:"running"`
	Project string `json:"project,omitempty" doc:"Of Compose"`
	Service string `json:"service,omitempty"`
	Place   string `json:"place,omitempty" doc:"Where a volume is mounted in it"`
}

// Left is what a prune leaves alone although nobody uses it, and why.
type Left struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Code   string `json:"code"`
	Reason string `json:"reason" doc:"A sentence for people"`
}

func users(list []dockercli.User) []UsedBy {
	out := make([]UsedBy, 0, len(list))
	for _, u := range list {
		out = append(out, UsedBy(u))
	}
	return out
}

// namesOf is "web, db and 3 more".
func namesOf(list []UsedBy) string {
	var names []string
	for _, u := range list {
		name := u.Name
		if u.State != "running" {
			name += " (" + u.State + ")"
		}
		names = append(names, name)
	}
	if len(names) > 5 {
		return strings.Join(names[:5], ", ") + fmt.Sprintf(" and %d more", len(names)-5)
	}
	return strings.Join(names, ", ")
}

// ParseAge reads "720h", "90m" or "30d".
func ParseAge(text string) (time.Duration, error) {
	wrong := errors.New(`expected a time such as 720h or 30d, more than nothing and at most 36500d`)
	d, err := time.ParseDuration(text)
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		if err == nil && n > 0 && n <= 36500 {
			d = time.Duration(n * 24 * float64(time.Hour))
		}
	}
	if err != nil || d <= 0 || d > 36500*24*time.Hour {
		return 0, wrong
	}
	return d, nil
}

// within asks for sizes, which may take longer than anybody waits.
func within(ctx context.Context, limit time.Duration, ask func(context.Context) (map[string]int64, error)) map[string]int64 {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	sizes, err := ask(ctx)
	if err != nil {
		return nil // not known; what else is wrong with the engine, the lists say
	}
	return sizes
}

func sizeIn(sizes map[string]int64, of string) *int64 {
	size, ok := sizes[of]
	if !ok {
		return nil
	}
	return &size
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
