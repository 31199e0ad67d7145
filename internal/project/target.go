package project

import "context"

// Target is a project for the command line.
type Target struct {
	Source

	ID     string
	Folder string // where its files are listed from; Dir unless COMPOSE_FILE leads elsewhere
	OnDisk bool
	// MadeFrom are the files that its containers name, if they are others than
	// Files: whoever acts on Files changes more than they may expect.
	MadeFrom []string
	Running  bool // it has containers, as far as the engine answers
}

// Target gives what a command needs to act on a project. One that has no
// folder here, or whose files can't be used, is given with the error: its
// name is enough to stop and start what there is.
//
// Errors: ErrNotFound, ErrUnreachable; ErrOutside, ErrNoFile, ErrNotRegular,
// ErrName, ErrNameTaken with the Target.
func (s *Service) Target(ctx context.Context, id string) (Target, error) {
	_, k, err := s.get(ctx, id)
	if err != nil {
		return Target{}, err
	}
	t := Target{ID: id, Running: k.group != nil}
	if k.folder == nil {
		t.Name = k.group.name
		return t, k.usable(s)
	}
	t.Source, t.Folder, t.OnDisk = k.folder.source, k.folder.path, true
	if k.group != nil {
		t.MadeFrom = k.folder.others(k.group)
	}
	return t, k.usable(s)
}

// usable says why a project's files can't be acted on.
func (k *known) usable(s *Service) error {
	switch {
	case k.folder == nil:
		return refuse(ErrOutside, "%s", notHere(s, k.group))
	case k.folder.blocked != nil:
		return k.folder.blocked
	case k.taken != nil:
		return refuse(ErrNameTaken, "%s is called %s, and so is %s, which has containers: Compose would replace those. "+
			"Give this one a name of its own, by `name:` at the top of its file.", k.folder.path, k.folder.source.Name, k.taken.path)
	}
	return nil
}
