// Package hostpath tells whether the folder that we see by a path is the one
// that the engine would mount by it.
//
// A Compose file says ./data; the docker compose command line makes a path of
// it as it sees it, and the engine takes that for a path of its own host. When
// the program runs in a container, what we see by a path, and so show and edit,
// is another folder than the engine's, unless our own container has it mounted
// at the same path on both sides. The engine creates what isn't there: the
// service then runs, on an empty folder. A Doctor finds that out before.
//
// It knows our own container's mounts (Mounts), follows symbolic links as they
// lead here, and asks the engine's host about what we don't see. It changes
// nothing and rewrites nothing: a file has to mean the same when its owner runs
// it by hand.
package hostpath

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"
	"time"
)

// The kinds of Source that are told apart; any other word is a bind's.
const (
	KindBind    = "bind"
	KindConfig  = "config"
	KindSecret  = "secret"
	KindVolume  = "volume" // the device of a volume of type bind
	KindEnvFile = "env_file"
	KindBuild   = "build"
	KindInclude = "include"
	KindExtends = "extends"
)

// Source is a path in a Compose project.
type Source struct {
	Path           string // absolute, as the command line sends it to the engine
	Kind           string
	ReadByCLI      bool // by the docker compose command line, not by the engine
	CreateHostPath bool // the engine makes a folder of it if it isn't there
	Required       bool // with ReadByCLI: it must be there
	Home           bool // it was written with ~
}

// State is what a path is.
type State string

// The states of a path.
const (
	Same      State = "same"      // what we see at Ours is what the engine mounts
	Elsewhere State = "elsewhere" // the engine would mount something else than we see
	Unseen    State = "unseen"    // we don't see what the engine mounts
	Missing   State = "missing"   // it isn't there
	Read      State = "read"      // the command line reads it from our own view
)

// Codes of findings. They are stable; a finding that has nothing to say has none.
const (
	CodeElsewhere    = "path_elsewhere"      // the engine would mount another folder than the one we see
	CodeWouldBeEmpty = "path_would_be_empty" // the engine would mount a new, empty folder instead of what we see
	CodeMissing      = "path_missing"        // it isn't there, and has to be
	CodeCreated      = "path_created"        // it isn't there, and the engine will create an empty folder
	CodeUnseen       = "path_unseen"         // the engine has it, we don't see it
	CodeUnchecked    = "path_unchecked"      // the engine couldn't be asked about it
	CodeHome         = "path_home"           // ~ is our own home folder, not that of a user of the host
	CodeState        = "path_state"          // it holds our own state folder; for callers of Holds
)

// Finding is what a Doctor says about one source.
type Finding struct {
	Path string
	Host string // the path that the engine's host has it by; empty: none, or unknown
	Ours string // where we see what the engine would mount; empty: nowhere
	File bool   // it is a file, or something else that is no folder

	State      State
	Refuse     bool // the project must not be started
	Code       string
	Message    string // a sentence
	Suggestion string // what to do, for findings that refuse
}

// Stat is what the engine's host has at a path.
type Stat struct {
	Exists  bool
	Mode    fs.FileMode // with its type
	ModTime time.Time
}

// Engine looks at the engine's host.
type Engine interface {
	// Stat follows links, as the engine does when it mounts. An error is that
	// it can't be told.
	Stat(ctx context.Context, hostPath string) (Stat, error)
}

// Doctor judges. The zero value, with Files, is that of a program whose engine
// is another machine and can't be asked.
type Doctor struct {
	// Local: we run in no container, and the engine on this machine: all paths
	// are the same.
	Local bool
	// Remote: the engine is another machine. Only what is said differs.
	Remote bool
	Mounts Mounts        // our own container's, as the engine tells them
	Shown  []string      // the folders whose content we show: compose.path
	Files  fs.ReadLinkFS // what we see, rooted at /: os.DirFS("/")
	Engine Engine        // nil: can't be asked
}

// Host is the path that the engine's host has something by; false if it hasn't.
func (d Doctor) Host(ours string) (host string, ok bool) {
	if d.Local {
		return path.Clean(ours), true
	}
	return d.Mounts.Host(ours)
}

// Ours is where we see a path of the engine's host; false if we don't.
func (d Doctor) Ours(host string) (ours string, ok bool) {
	if d.Local {
		return path.Clean(host), true
	}
	return d.Mounts.Ours(host)
}

// Judge says what the engine would mount for a source, or the command line
// read, and whether that is what we see.
func (d Doctor) Judge(ctx context.Context, s Source) Finding {
	if !path.IsAbs(s.Path) || !fs.ValidPath(inside(s.Path)) {
		return Finding{Path: s.Path, State: Missing, Refuse: true, Code: CodeMissing,
			Message: fmt.Sprintf("%q is no absolute path.", s.Path), Suggestion: "Write a path that begins with ./ or /."}
	}
	name := path.Clean(s.Path)
	w := follow(d.Files, name)
	f := Finding{Path: s.Path}
	switch {
	case errors.Is(w.err, errLoop):
		f.State, f.Refuse, f.Code = Missing, true, CodeMissing
		f.Message, f.Suggestion = name+" leads through symbolic links that lead to one another.", "Mend the links."
		return f
	case s.ReadByCLI:
		return d.read(f, s, w)
	}
	for _, h := range w.hops {
		switch m, mounted := d.Mounts.over(h.path()); {
		case d.Local, mounted && m.same():
		case mounted:
			return d.elsewhere(f, m, h, w)
		default:
			return d.foreign(ctx, f, s, h, w)
		}
	}
	return d.same(f, s, w)
}

// same is for a path that leads here where it leads on the engine's host.
func (d Doctor) same(f Finding, s Source, w walk) Finding {
	f.Host, f.Ours = w.end(), w.end()
	if m, ok := d.Mounts.below(w.end()); ok && !d.Local && w.err == nil {
		f.State, f.Refuse, f.Code, f.Ours = Elsewhere, true, CodeElsewhere, ""
		f.Message = fmt.Sprintf("In %s, %s is %s in Watch Docker's container alone: the engine would mount the folder without it.", f.Path, m.Destination, m.what())
		f.Suggestion = d.mend(m, m.Destination)
		return f
	}
	if w.missing() {
		return missing(f, s, w)
	}
	f.State = Same
	if w.err != nil { // it isn't ours to look at, but it is the same
		f.Message = fmt.Sprintf("Watch Docker can't look at %s: %v.", f.Path, reason(w.err))
		return f
	}
	f.File = !w.info.IsDir()
	return f
}

// read is for what the command line reads.
func (d Doctor) read(f Finding, s Source, w walk) Finding {
	f.Host, _ = d.Host(w.end())
	f.State = Read
	if w.err == nil {
		f.Ours, f.File = w.end(), !w.info.IsDir()
		return f
	}
	f.Refuse = s.Required
	f.Message = fmt.Sprintf("%s can't be read: %v.", f.Path, reason(w.err))
	f.Suggestion = fmt.Sprintf("See that Watch Docker may read it: docker compose reads it (%s) where Watch Docker runs.", s.Kind)
	if w.missing() {
		f.State, f.Code = Missing, CodeMissing
		f.Message = fmt.Sprintf("%s isn't there. It is docker compose that reads it (%s), where Watch Docker runs.", f.Path, s.Kind)
		f.Suggestion = "Create it, or correct the path."
		if _, mounted := d.Mounts.over(w.end()); !d.Local && !mounted {
			f.Suggestion = fmt.Sprintf("If the host has it, mount it into Watch Docker's container at the same path: -v %[1]s:%[1]s:ro. Else create it, or correct the path.", w.end())
		}
	}
	if !f.Refuse {
		f.Suggestion = ""
	}
	return f
}

// missing is for what is the same here and there, and isn't there.
func missing(f Finding, s Source, w walk) Finding {
	f.State, f.Ours = Missing, ""
	if s.CreateHostPath && !w.dangling && !isBelowFile(w.err) && s.Kind != KindConfig && s.Kind != KindSecret {
		f.Code = CodeCreated
		f.Message = f.Path + " isn't there: the engine will create an empty folder."
		return f
	}
	f.Refuse, f.Code = true, CodeMissing
	switch {
	case w.dangling:
		f.Message = fmt.Sprintf("%s is a link, or leads through one, to what isn't there (%s): the engine can't mount it.", f.Path, f.Host)
	case w.err == nil:
		f.Message = f.Path + " isn't there on the engine's host, and the engine doesn't create it."
	case isBelowFile(w.err):
		f.Message = f.Path + " can't be there: a part of the path is a file."
	default:
		f.Message = f.Path + " isn't there, and the engine doesn't create it."
	}
	f.Suggestion = "Create it, or correct the path."
	return f
}

func isBelowFile(err error) bool { return errors.Is(err, syscall.ENOTDIR) }

// reason is a failure without the path that is said already.
func reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
