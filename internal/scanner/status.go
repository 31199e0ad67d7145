package scanner

import (
	"strings"
	"time"

	"github.com/watch-docker/watch-docker/internal/policy"
)

// Status is the outcome for one container.
type Status string

// The outcomes.
const (
	UpToDate        Status = "upToDate"
	UpdateAvailable Status = "updateAvailable"
	Skipped         Status = "skipped" // policy says not to check it
	Unknown         Status = "unknown" // not checked yet, or stopped
	Failed          Status = "error"   // could not be checked: see ContainerStatus.Error
)

// Result is what a scan found, the containers in the order of their names.
type Result struct {
	Containers []ContainerStatus `json:"containers"`
	ScannedAt  time.Time         `json:"scannedAt"` // zero before the first scan
}

// shortestPrefix is how many digits of an id it takes at least: what docker ps shows.
const shortestPrefix = 12

// Find gives the containers that are meant by an id, a name, or the first 12
// or more digits of an id: none, one, or several that begin alike. A name wins
// over an id that begins like it.
func (r Result) Find(named string) []ContainerStatus {
	var matches []ContainerStatus
	prefix := len(named) >= shortestPrefix && strings.Trim(named, "0123456789abcdef") == ""
	for _, c := range r.Containers {
		if c.ID == named || c.Name == named {
			return []ContainerStatus{c}
		}
		if prefix && strings.HasPrefix(c.ID, named) {
			matches = append(matches, c)
		}
	}
	return matches
}

// ContainerStatus is one container and what is known of its image. Its JSON
// is part of the HTTP contract.
type ContainerStatus struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Image     string     `json:"image"` // the reference as its user wrote it
	ImageID   string     `json:"imageId"`
	State     string     `json:"state"`
	Running   bool       `json:"running"`
	Health    string     `json:"health"` // none, starting, healthy, unhealthy
	CreatedAt time.Time  `json:"createdAt"`
	StartedAt *time.Time `json:"startedAt"` // nil if it started before this program
	Ports     []Port     `json:"ports"`
	Compose   *Compose   `json:"compose"`
	Swarm     *Swarm     `json:"swarm"`

	Status       Status          `json:"status"`
	Summary      string          `json:"summary"`      // the status in a sentence for people
	LocalDigest  string          `json:"localDigest"`  // the digest that registries know the running image by, if known
	RemoteDigest string          `json:"remoteDigest"` // what the tag names at the registry, if asked
	PulledDigest string          `json:"pulledDigest"` // what the tag names on this host, if that isn't what runs
	NewerTag     string          `json:"newerTag"`     // that the label watchdocker.track follows, if there is one
	NewerDigest  string          `json:"newerDigest"`  // what that tag names at the registry
	CheckedAt    *time.Time      `json:"checkedAt"`    // when the registry was last asked
	Policy       policy.Decision `json:"policy"`
	Error        *Error          `json:"error"`
	Quarantined  *Quarantine     `json:"quarantined"`
	Previous     *Previous       `json:"previous"` // what a rollback goes to
	OperationID  *string         `json:"operationId"`
}

// Port is a port of the container and, if published, where.
type Port struct {
	IP       string `json:"ip"`
	Private  uint16 `json:"private"`
	Public   uint16 `json:"public"` // 0: not published
	Protocol string `json:"protocol"`
}

// Compose says which service of which project a container is.
type Compose struct {
	Project string `json:"project"`
	Service string `json:"service"`
}

// Swarm says which service a container is a task of.
type Swarm struct {
	Service string `json:"service"`
}

// Error is why a container could not be judged: a stable code, and a sentence.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Quarantine is a release that failed here and is left alone.
type Quarantine struct {
	Digest      string    `json:"digest"`
	Since       time.Time `json:"since"`
	OperationID string    `json:"operationId"`
}

// Previous is the image that a container ran before the one that it runs now.
type Previous struct {
	ImageID     string    `json:"imageId"`
	Digest      string    `json:"digest"` // empty: no registry has it
	ReplacedAt  time.Time `json:"replacedAt"`
	OperationID string    `json:"operationId"` // that replaced it
}

// Codes of errors that are found here; registries have their own.
const (
	CodeBadReference = "bad_reference"
	CodeBadLabel     = string(policy.BadLabel)
	CodeNoImage      = "image_missing"
	CodeEngine       = "engine_error"
	CodeRegistry     = "registry_unreachable" // a registry's failure without a code of its own
)
