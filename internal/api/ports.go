package api

import (
	"context"
	"errors"
	"time"

	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/compose"
	"github.com/watch-docker/watch-docker/internal/image"
	"github.com/watch-docker/watch-docker/internal/preview"
	"github.com/watch-docker/watch-docker/internal/resource"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
)

// What the handlers need of the parts behind them. Containers come to a port
// by their full id, found in Scans.Latest; ctx is the request's, so work that
// is to go on after the answer must not depend on it (context.WithoutCancel).

// Scans is the scanner, with scans as operations.
type Scans interface {
	// Latest is the newest result; it is never changed by who asks.
	Latest() scanner.Result
	// Refresh lists the engine anew, without a question to any registry.
	Refresh(ctx context.Context) error
	// StartScan gives the operation under way if there is one that would find the same.
	StartScan(ctx context.Context, r ScanRequest) (store.Operation, error)
}

// ScanRequest asks for a scan.
type ScanRequest struct {
	ContainerIDs []string // none: all
	Fresh        bool     // past the cache
	Actor        string
}

// Updates is the updater.
type Updates interface {
	// Update starts the update of a container, or gives the one under way.
	//
	// Errors: ErrUnknownContainer, *BusyError (an operation of another kind),
	// *RefusedError, ErrEngineUnavailable.
	Update(ctx context.Context, r UpdateRequest) (store.Operation, error)
	// Rollback starts the way back to the image that a container ran before,
	// or gives it if it is under way.
	//
	// Errors: as Update; a *RefusedError also if there is no such image.
	Rollback(ctx context.Context, r UpdateRequest) (store.Operation, error)
	// UpdateAll starts what policy allows, and says why it left the others out.
	UpdateAll(ctx context.Context, r RunRequest) (Run, error)
	// Preview tells what Update would do; nothing is changed. Secrets are in it:
	// see PresentPreview.
	//
	// Errors: ErrUnknownContainer, ErrEngineUnavailable.
	Preview(ctx context.Context, r PreviewRequest) (preview.Preview, error)
}

// PreviewRequest asks what an update by hand would do.
type PreviewRequest struct {
	ContainerID string
	Force       bool // as of the update
}

// UpdateRequest asks for the update of one container by hand.
type UpdateRequest struct {
	ContainerID string
	Force       bool // what policy holds back for "force" may go on
	Actor       string
}

// RunRequest asks for an update run.
type RunRequest struct {
	ContainerIDs []string // none: all that may be updated
	DryRun       bool     // start nothing: the operations that come back are queued and have no id
	Actor        string
}

// Run is what an update run has started, or would.
type Run struct {
	Operations []store.Operation `json:"operations"`
	Skipped    []LeftOut         `json:"skipped"`
	// Previews are of the operations, in their order; of the command line's dry run alone.
	Previews []preview.Preview `json:"previews,omitempty"`
}

// LeftOut is a container that a run doesn't update, and why, in a sentence.
type LeftOut struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Operations is the record of operations and those under way.
type Operations interface {
	// Operation has progress if it runs. Errors: store.ErrNoOperation.
	Operation(ctx context.Context, id string) (store.Operation, error)
	// Operations gives the newest first.
	Operations(ctx context.Context, f store.OperationFilter) ([]store.Operation, error)
	// Done is closed once the operation has ended and its record says so; it is
	// closed from the start for one that this process doesn't run.
	Done(id string) <-chan struct{}
	// Cancel ends an operation, soon, that hasn't changed anything yet.
	//
	// Errors: store.ErrNoOperation, *TooLateError.
	Cancel(ctx context.Context, id, actor string) error
}

// Engine acts on single containers. A container in an operation is left alone.
//
// Errors of all: ErrUnknownContainer, *BusyError, *ConflictError (the engine
// says no), ErrEngineUnavailable.
type Engine interface {
	// Container gives everything but the embedded status (StartedAt excepted),
	// which the handler fills in, with the environment as it is: the handler
	// masks it. See DetailFromInspect.
	Container(ctx context.Context, id string) (ContainerDetail, error)
	// Act returns when it is done; doing it twice is no error.
	Act(ctx context.Context, id string, action Action) error
	// Kill sends a signal; empty is SIGKILL.
	Kill(ctx context.Context, id, signal string) error
	Rename(ctx context.Context, id, name string) error
	Remove(ctx context.Context, id string, o RemoveOptions) error
}

// Action is what can be done with a container in one question to the engine.
type Action string

// The actions.
const (
	Start   Action = "start"
	Stop    Action = "stop" // with its own signal and timeout
	Restart Action = "restart"
	Pause   Action = "pause"
	Unpause Action = "unpause"
)

// RemoveOptions say how to remove a container.
type RemoveOptions struct {
	Force   bool // even if it runs
	Volumes bool // its anonymous volumes, too
}

// Images, Volumes and Networks are resource.Service, where the errors of each
// are listed. The engine's and the runner's come as ErrEngineUnavailable,
// *ConflictError, *BusyError, ErrTooManyOperations and ErrStopping.

// Images is the engine's images. They are named by id, by the beginning of one,
// or by a reference.
type Images interface {
	Images(ctx context.Context, thorough bool) ([]resource.Image, error)
	Image(ctx context.Context, named string) (resource.ImageDetail, error)
	RemoveImage(ctx context.Context, named string, force bool) (resource.ImageRemoval, error)
	Pull(ctx context.Context, ref image.Reference, platform image.Platform, actor string) (store.Operation, error)
	PreviewImagePrune(ctx context.Context, p resource.ImagePrune) (resource.ImagesPruned, error)
	PruneImages(ctx context.Context, p resource.ImagePrune, actor string) (store.Operation, error)
}

// Volumes is the engine's volumes.
type Volumes interface {
	Volumes(ctx context.Context, thorough bool) ([]resource.Volume, error)
	Volume(ctx context.Context, name string) (resource.Volume, error)
	RemoveVolume(ctx context.Context, name string) error
	PreviewVolumePrune(ctx context.Context, p resource.VolumePrune) (resource.VolumesPruned, error)
	PruneVolumes(ctx context.Context, p resource.VolumePrune, actor string) (store.Operation, error)
}

// Networks is the engine's networks.
type Networks interface {
	Networks(ctx context.Context) ([]resource.NetworkRow, error)
	Network(ctx context.Context, named string) (resource.NetworkRow, error)
	RemoveNetwork(ctx context.Context, named string) (resource.NetworkRow, error)
	PreviewNetworkPrune(ctx context.Context) (resource.NetworksPruned, error)
	PruneNetworks(ctx context.Context, actor string) (store.Operation, error)
}

// System tells how the program and what it depends on are doing. What doesn't
// answer is part of the answer (System.Degraded), not an error.
type System interface {
	System(ctx context.Context) (SystemStatus, error)
}

// Auth is auth.Service, where the errors of each are listed.
type Auth interface {
	SignIn
	Sessions
	APITokens
	Accounts

	// Verify says who a token stands for.
	Verify(ctx context.Context, token string) (auth.Identity, error)
	// IsFresh reports whether a session's user has proved of late to be there.
	IsFresh(id auth.Identity) bool
	// Guess asks for leave to check what could be guessed.
	Guess(ctx context.Context, kind auth.GuessKind, account string, from auth.Client) (auth.Guess, error)
}

// SignIn begins sessions.
type SignIn interface {
	NeedsSetup(ctx context.Context) (bool, error)
	Setup(ctx context.Context, token string, r auth.LoginRequest) (auth.Login, error)
	Login(ctx context.Context, r auth.LoginRequest) (auth.Login, error)
	LoginVerified(ctx context.Context, user string, from auth.Client) (auth.Login, error)
}

// Sessions are under way.
type Sessions interface {
	Upgrade(ctx context.Context, id auth.Identity, from auth.Client) (auth.Login, error)
	Elevate(ctx context.Context, id auth.Identity, verified bool) (until time.Time, err error)
	StepUpPassword(ctx context.Context, id auth.Identity, password string, from auth.Client) (until time.Time, err error)
	FactorChanged(ctx context.Context, id auth.Identity, verified bool, from auth.Client) (auth.Login, error)
	Sessions(ctx context.Context, user string) ([]auth.Session, error)
	EndSession(ctx context.Context, user, id string) error
	EndSessions(ctx context.Context, user string) (int, error)
	Logout(ctx context.Context, sessionID string) error
	// Ended gives a channel that is closed when the session ends, or has
	// already. Whoever waits for it releases it.
	Ended(ctx context.Context, sessionID string) (ended <-chan struct{}, release func())
}

// APITokens are programs' way in.
type APITokens interface {
	Tokens(ctx context.Context, user string) ([]auth.APIToken, error)
	MakeToken(ctx context.Context, id auth.Identity, name string, scope auth.Scope, expires *time.Time) (auth.APIToken, string, error)
	RemoveToken(ctx context.Context, user, id string) error
}

// Accounts are those who may sign in.
type Accounts interface {
	Required() bool
	ChangePassword(ctx context.Context, id auth.Identity, current, password string, from auth.Client) (auth.Login, error)
	Users(ctx context.Context) ([]auth.User, error)
	AddUser(ctx context.Context, name, password string, role auth.Role) (auth.User, error)
	SetRole(ctx context.Context, name string, role auth.Role) error
	SetPassword(ctx context.Context, name, password string) (sessions int, err error)
	RemoveUser(ctx context.Context, name string) error
}

// Errors of the ports; what a part's own errors come down to. Wrap them.
var (
	ErrUnknownContainer  = errors.New("no such container")
	ErrUnknownImage      = errors.New("no such image")
	ErrUnknownVolume     = errors.New("no such volume")
	ErrUnknownNetwork    = errors.New("no such network")
	ErrEngineUnavailable = errors.New("the Docker engine doesn't answer")
	ErrTooManyOperations = errors.New("too many operations are under way")
	ErrStopping          = errors.New("the program is stopping")
)

// BusyError says that a container is in an operation, or what else only one
// operation at a time may have.
type BusyError struct {
	Container   string // its name, or "prune of images"
	OperationID string
	Code        string // CodeContainerBusy if it is empty
}

func (e *BusyError) Error() string {
	return e.Container + " is in operation " + e.OperationID
}

// ConflictError is the engine's no to something that it understood. Reason is
// the engine's sentence, for the user to read.
type ConflictError struct{ Reason string }

func (e *ConflictError) Error() string { return e.Reason }

// TooLateError says why an operation can't be cancelled any more.
type TooLateError struct{ Reason string }

func (e *TooLateError) Error() string { return e.Reason }

// RefusedError says why a container is not updated: the code is a
// policy.Code or one of the updater's own.
type RefusedError struct{ Code, Reason string }

func (e *RefusedError) Error() string { return e.Reason }

// ContainerDetail is one container with how it is configured.
type ContainerDetail struct {
	scanner.ContainerStatus

	Command      []string          `json:"command"`
	Entrypoint   []string          `json:"entrypoint"`
	WorkingDir   string            `json:"workingDir"`
	User         string            `json:"user"`
	Hostname     string            `json:"hostname"`
	Env          []EnvVar          `json:"env"`
	Labels       map[string]string `json:"labels"`
	Mounts       []Mount           `json:"mounts"`
	Networks     []Network         `json:"networks"`
	NetworkMode  string            `json:"networkMode"`
	Restart      RestartPolicy     `json:"restartPolicy"`
	RestartCount int               `json:"restartCount"`
	Privileged   bool              `json:"privileged"`
	AutoRemove   bool              `json:"autoRemove"`
	Platform     string            `json:"platform"`
	FinishedAt   *time.Time        `json:"finishedAt"`
	ExitCode     *int              `json:"exitCode"` // nil while it runs
	OOMKilled    bool              `json:"oomKilled"`
	HealthLog    []HealthProbe     `json:"healthLog"` // newest last
}

// EnvVar is a variable of a container's environment.
type EnvVar struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Masked bool   `json:"masked"` // it looks like a secret: Value is "***"
}

// Mount is a volume, folder or tmpfs of a container.
type Mount struct {
	Type        string `json:"type"` // bind, volume, tmpfs, npipe, cluster, image
	Name        string `json:"name"` // of a volume
	Source      string `json:"source"`
	Destination string `json:"destination"`
	ReadOnly    bool   `json:"readOnly"`
}

// Network is a container's place in a network.
type Network struct {
	Name    string   `json:"name"`
	ID      string   `json:"id"`
	IPv4    string   `json:"ipv4"`
	IPv6    string   `json:"ipv6"`
	MAC     string   `json:"mac"`
	Aliases []string `json:"aliases"`
}

// RestartPolicy is what the engine does when the container ends.
type RestartPolicy struct {
	Name       string `json:"name"` // no, always, unless-stopped, on-failure
	MaxRetries int    `json:"maxRetries"`
}

// HealthProbe is one run of a health check.
type HealthProbe struct {
	At       time.Time `json:"at"`
	ExitCode int       `json:"exitCode"`
	Output   string    `json:"output"`
}

// SystemStatus is how the program and what it depends on are doing.
type SystemStatus struct {
	Version    string               `json:"version"`
	StartedAt  time.Time            `json:"startedAt"`
	Engine     EngineStatus         `json:"engine"`
	RateLimits []RateLimit          `json:"rateLimits"`
	Scan       Schedule             `json:"scan"`
	Update     Schedule             `json:"update"`
	Containers ContainerCounts      `json:"containers"` // the handler fills it in
	Compose    compose.Availability `json:"compose"`    // the same
	Degraded   []Degradation        `json:"degraded"`
}

// EngineStatus is the Docker engine; all but Reachable and Host are empty
// while it doesn't answer.
type EngineStatus struct {
	Reachable     bool   `json:"reachable"`
	Host          string `json:"host"`
	Version       string `json:"version"`
	APIVersion    string `json:"apiVersion"`
	OS            string `json:"os"`
	Architecture  string `json:"architecture"`
	StorageDriver string `json:"storageDriver"`
}

// RateLimit is what a registry has said about how often it may be asked.
type RateLimit struct {
	Registry     string     `json:"registry"`
	Limit        int        `json:"limit"`
	Remaining    int        `json:"remaining"`
	BlockedUntil *time.Time `json:"blockedUntil"` // it asked to be left alone
}

// Schedule is when something ran and will run; nil: never, not planned.
type Schedule struct {
	LastAt *time.Time `json:"lastAt"`
	NextAt *time.Time `json:"nextAt"`
}

// ContainerCounts counts containers by status.
type ContainerCounts struct {
	Total    int                    `json:"total"`
	Running  int                    `json:"running"`
	ByStatus map[scanner.Status]int `json:"byStatus"`
}

// Degradation is something that works less well than it could, and why.
type Degradation struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}
