package project

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/watch-docker/watch-docker/internal/dockercli"
)

// Volume is one that Compose made for the project, an anonymous one of its
// containers, or one that its files name and that isn't its own.
type Volume struct {
	Name      string   `json:"name"`
	SizeBytes *int64   `json:"sizeBytes"`        // null: not known
	Users     []string `json:"users"`            // names of the containers that have it
	Reason    string   `json:"reason,omitempty"` // a sentence: why it stays even if volumes are to go

	Owner     string `json:"-"` // the project that its label names
	Anonymous bool   `json:"-"`
}

// ResourceQuery says what is asked of Resources.
type ResourceQuery struct {
	Project string
	Volumes []string // names of those that are wanted, whosever they are
	Measure bool     // with the volumes' sizes, which takes time
}

// Resources is what Compose made for a project beside its containers.
type Resources interface {
	// ProjectResources are those that have the project's label, the anonymous
	// volumes of its containers, and the volumes that are asked for by name.
	ProjectResources(ctx context.Context, q ResourceQuery) ([]Network, []Volume, error)
	// RemoveVolume removes a volume that nobody uses: dockercli.ErrConflict if
	// somebody does, dockercli.ErrNotFound if there is none.
	RemoveVolume(ctx context.Context, name string) error
}

// written are the volumes that the project's files name, and whether they say
// that they are external.
func (k *known) written() map[string]bool {
	all := map[string]bool{}
	if k.folder != nil {
		for _, v := range k.folder.facts.Volumes {
			all[v.Name] = all[v.Name] || v.External
		}
	}
	return all
}

// keeps says why a volume stays: Compose would take each that the files name,
// whosever it is.
func (d *Deletion) keeps(v Volume, external bool) string {
	if !v.Anonymous && v.Owner != d.Project {
		if v.Owner == "" {
			return "Compose didn't make it for " + d.Project + ", though its files name it."
		}
		return fmt.Sprintf("It belongs to the project %s, though the files of %s name it.", v.Owner, d.Project)
	}
	if external {
		return "The files say that it is external."
	}
	var others []string
	for _, user := range v.Users {
		if !slices.ContainsFunc(d.Containers, func(c Doomed) bool { return c.Name == user }) {
			others = append(others, user)
		}
	}
	if len(others) > 0 {
		return "It is used by " + strings.Join(others, ", ") + "."
	}
	return ""
}

// Settle is for when a project is down. It removes the volumes that Takes has
// told of, by their names, and says what has really gone. One that somebody
// else uses by now stays, and so does one that isn't what it was.
//
// Errors: ErrUnreachable. What has gone until then is in the Deletion.
func (s *Service) Settle(ctx context.Context, d Deletion) (Deletion, error) {
	list, err := s.engine.Containers(ctx)
	if err != nil {
		return Nothing(d), because(ErrUnreachable, err, "What is left of %s can't be read: %s.", d.Project, err)
	}
	d.Containers = slices.DeleteFunc(slices.Clone(d.Containers), func(gone Doomed) bool {
		return slices.ContainsFunc(list, func(c dockercli.Container) bool { return c.ID == gone.ID })
	})
	if s.resources == nil {
		return d, nil
	}
	var names []string
	for _, v := range d.Volumes {
		names = append(names, v.Name)
	}
	networks, volumes, err := s.resources.ProjectResources(ctx, ResourceQuery{Project: d.Project, Volumes: names})
	if err != nil {
		return Nothing(d), because(ErrUnreachable, err, "What is left of %s can't be read: %s.", d.Project, err)
	}
	d.Networks = slices.DeleteFunc(slices.Clone(d.Networks), func(n Network) bool { return slices.Contains(networks, n) })
	return s.removeVolumes(ctx, d, volumes)
}

// Nothing is a Deletion of which it isn't known that anything has gone.
func Nothing(d Deletion) Deletion {
	d.Containers, d.Networks, d.Volumes, d.Files, d.Folder = []Doomed{}, []Network{}, []Volume{}, []string{}, false
	return d
}

func (s *Service) removeVolumes(ctx context.Context, d Deletion, now []Volume) (Deletion, error) {
	told := d.Volumes
	d.Volumes, d.VolumesKept = []Volume{}, slices.Clone(d.VolumesKept)
	for _, v := range told {
		i := slices.IndexFunc(now, func(n Volume) bool { return n.Name == v.Name })
		if i >= 0 && (now[i].Owner != v.Owner || now[i].Anonymous != v.Anonymous) {
			v.Reason = "Another volume has its name by now."
			d.VolumesKept = append(d.VolumesKept, v)
			continue
		}
		err := s.resources.RemoveVolume(ctx, v.Name)
		switch {
		case err == nil, errors.Is(err, dockercli.ErrNotFound):
			d.Volumes = append(d.Volumes, v)
		case errors.Is(err, dockercli.ErrConflict):
			v.Reason = "The engine keeps it: " + strings.TrimSuffix(err.Error(), ".") + "."
			d.VolumesKept = append(d.VolumesKept, v)
		default:
			return d, because(ErrUnreachable, err, "The volume %s can't be removed: %s.", v.Name, err)
		}
	}
	return d, nil
}
