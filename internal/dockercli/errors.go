package dockercli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// What an error of the engine comes down to; errors.Is finds them.
var (
	// ErrUnavailable: no answer. The engine is stopped, the address is wrong, or the socket may not be opened.
	ErrUnavailable = errors.New("the Docker engine doesn't answer")
	// ErrNotFound: the engine has no such container or image.
	ErrNotFound = errors.New("not found")
	// ErrConflict: a name or port is taken, or the container's or image's state or use doesn't allow it.
	ErrConflict = errors.New("conflict")
	// ErrRefused: the engine doesn't understand what is asked: a signal that there isn't, a name that isn't allowed.
	ErrRefused = errors.New("refused")
	// ErrNoSpace: the engine's disk is full.
	ErrNoSpace = errors.New("no space left on the engine's disk")
	// ErrUnauthorized: the registry wants other credentials than were given.
	ErrUnauthorized = errors.New("the registry refuses these credentials")
	// ErrRateLimited: the registry wants to be left alone.
	ErrRateLimited = errors.New("the registry's rate limit is reached")
	// ErrRegistryUnreachable: the engine gets no answer from the registry.
	ErrRegistryUnreachable = errors.New("the engine can't reach the registry")
	// ErrNoPlatform: the image isn't there for the platform.
	ErrNoPlatform = errors.New("no image for this platform")
	// ErrImageMoved: a reference names another image than the one decided on.
	ErrImageMoved = errors.New("the reference names another image by now")
	// ErrSwarmTask: the container is a swarm's task, which is made again by its service alone.
	ErrSwarmTask = errors.New("a swarm's task isn't recreated by hand")
)

// wrap says what was being done and sorts the SDK's errors; nil stays nil.
func (c *Client) wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	err = said{err}
	switch {
	case errdefs.IsNotFound(err):
		return fmt.Errorf("%s: %w: %w", doing, ErrNotFound, err)
	case isNoSpace(err):
		return fmt.Errorf("%s: %w: %w", doing, ErrNoSpace, err)
	case errdefs.IsConflict(err), isPortTaken(err):
		return fmt.Errorf("%s: %w: %w", doing, ErrConflict, err)
	case errdefs.IsInvalidArgument(err):
		return fmt.Errorf("%s: %w", doing, refused{err})
	case client.IsErrConnectionFailed(err), isTransport(err):
		return fmt.Errorf("%s: %w at %s: %s; see that it runs and that this user may open it, or name another with docker.host (DOCKER_HOST)",
			doing, ErrUnavailable, c.host, reason(err))
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// said is an error of the engine without the names of its parts that passed it
// on, which mean nothing to whoever reads it.
type said struct{ error }

func (s said) Unwrap() error { return s.error }

func (s said) Error() string {
	text := s.error.Error()
	for _, part := range []string{
		"Error response from daemon: ", "failed to create task for container: ", "failed to create shim task: ", "failed to create shim: ",
		"OCI runtime create failed: ", "runc create failed: ", "unable to start container process: ", "error during container init: ",
	} {
		text = strings.Replace(text, part, "", 1)
	}
	return strings.TrimSuffix(text, ": unknown")
}

// refused is ErrRefused with the engine's words alone: they say what is wrong.
type refused struct{ error }

func (r refused) Unwrap() []error { return []error{ErrRefused, r.error} }

// The engine says these with status 500; only the words tell them apart.

func isNoSpace(err error) bool { return strings.Contains(err.Error(), "no space left on device") }

func isPortTaken(err error) bool {
	text := err.Error()
	return strings.Contains(text, "port is already allocated") || strings.Contains(text, "address already in use") ||
		strings.Contains(text, "Address already in use")
}

// isTransport finds failures below HTTP that the SDK passes on as they are: a
// time limit of ours, a connection that broke off in the middle of an answer.
func isTransport(err error) bool {
	var netErr interface{ Timeout() bool }
	if errors.Is(err, context.Canceled) {
		return false
	}
	return errors.As(err, &netErr) || strings.Contains(err.Error(), "EOF")
}

// reason is the system's own word for a failure, without the SDK's advice,
// which names other settings than ours.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	text := err.Error()
	for _, known := range []string{"no such file or directory", "connection refused", "permission denied", "no such host"} {
		if strings.Contains(text, known) {
			return known
		}
	}
	return text
}
