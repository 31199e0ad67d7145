// Package preview says what an update would change: it compares what the new
// image gives to a container with what the old one gave, and with what the
// container's user set. It has no I/O.
package preview

import "time"

// Preview is what an update of a container would do. Its JSON is part of the
// HTTP contract.
type Preview struct {
	ContainerID string  `json:"containerId"`
	Name        string  `json:"name"`
	Image       string  `json:"image" doc:"The reference as its user wrote it"`
	ToImage     string  `json:"toImage" doc:"The reference that an update would make it from: another one if it follows newer tags"`
	Status      string  `json:"status" doc:"As of a ContainerStatus"`
	OperationID *string `json:"operationId" doc:"The operation that the container is in"`
	Own         bool    `json:"own" doc:"Watch Docker itself runs in this container"`

	From     *Release  `json:"from" doc:"What runs; null if its image was removed from the host"`
	To       *Release  `json:"to" doc:"What an update would bring; null if that can't be told: see error"`
	Error    *Finding  `json:"error" doc:"Why it can't be told what the new image is"`
	Link     *Link     `json:"link" doc:"Where to read about the difference"`
	Changes  Changes   `json:"changes"`
	Download *Download `json:"download" doc:"What would have to be downloaded; null if that can't be told"`

	Refused      *Finding     `json:"refused" doc:"Why an update asked for now would not begin; null if it would"`
	Strategy     string       `json:"strategy" enum:"stop-first,start-first"`
	Hooks        Hooks        `json:"hooks"`
	Dependents   []Dependent  `json:"dependents" doc:"The containers that come along"`
	Order        Order        `json:"order"`
	Interruption Interruption `json:"interruption"`
	Warnings     []Finding    `json:"warnings"`
}

// Release is one image as people know it. What it says of itself is a
// stranger's word: text is one printable line, and URLs are http or https.
type Release struct {
	Digest    string     `json:"digest" doc:"What registries know it by; empty if that isn't known"`
	ImageID   string     `json:"imageId" doc:"Empty if it isn't on this host"`
	CreatedAt *time.Time `json:"createdAt" doc:"Null if it doesn't say"`
	Title     string     `json:"title"`
	Version   string     `json:"version"`
	Revision  string     `json:"revision"`
	Source    string     `json:"source"`
	URL       string     `json:"url"`
}

// Link is where to read about a release.
type Link struct {
	Kind LinkKind `json:"kind" enum:"compare,releases,source,url"`
	URL  string   `json:"url"`
}

// LinkKind says what a link shows.
type LinkKind string

// The kinds of links.
const (
	LinkCompare  LinkKind = "compare"  // what changed in the source between the two
	LinkReleases LinkKind = "releases" // the project's list of releases
	LinkSource   LinkKind = "source"   // the project's source
	LinkURL      LinkKind = "url"      // its page
)

// Changes are what the new image gives otherwise than the old one. From and To
// are the images' own values; a field that stays as it is isn't there.
type Changes struct {
	Env         []Change      `json:"env"`
	Labels      []Change      `json:"labels"`
	Ports       []Change      `json:"ports" doc:"Exposed, \"80/tcp\""`
	Volumes     []Change      `json:"volumes"`
	Entrypoint  *ListChange   `json:"entrypoint"`
	Cmd         *ListChange   `json:"cmd"`
	User        *TextChange   `json:"user"`
	WorkingDir  *TextChange   `json:"workingDir"`
	StopSignal  *TextChange   `json:"stopSignal"`
	Healthcheck *HealthChange `json:"healthcheck"`
}

// Kind says what became of a part.
type Kind string

// The kinds of changes.
const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
)

// Change is one variable, label, port or volume. With Overridden the
// container stays as it is, since its user has set it.
type Change struct {
	Name       string `json:"name"`
	Kind       Kind   `json:"kind" enum:"added,removed,changed"`
	From       string `json:"from"`
	To         string `json:"to"`
	Masked     bool   `json:"masked" doc:"It looks like a secret: from and to are hidden"`
	Overridden bool   `json:"overridden" doc:"The user has set it: the container stays as it is"`
}

// TextChange is a setting that is a text.
type TextChange struct {
	From       string `json:"from"`
	To         string `json:"to"`
	Overridden bool   `json:"overridden"`
}

// ListChange is a command.
type ListChange struct {
	From       []string `json:"from"`
	To         []string `json:"to"`
	Overridden bool     `json:"overridden"`
}

// HealthChange is a health check.
type HealthChange struct {
	From       *HealthCheck `json:"from" doc:"Null: none"`
	To         *HealthCheck `json:"to" doc:"Null: none"`
	Overridden bool         `json:"overridden"`
}

// HealthCheck is a health check as an image has it; empty is the engine's default.
type HealthCheck struct {
	Test        []string `json:"test"`
	Interval    string   `json:"interval" example:"30s"`
	Timeout     string   `json:"timeout"`
	StartPeriod string   `json:"startPeriod"`
	Retries     int      `json:"retries"`
}

// Download is what is missing of the new image on this host.
type Download struct {
	Bytes  int64 `json:"bytes" doc:"Compressed"`
	Layers int   `json:"layers"`
}

// Hooks are the commands that the container's labels want run.
type Hooks struct {
	PreUpdate  string `json:"preUpdate"`
	PostUpdate string `json:"postUpdate"`
}

// Dependent is a container that comes along.
type Dependent struct {
	Name   string `json:"name"`
	Action string `json:"action" enum:"recreated,restarted"`
}

// The actions of a Dependent.
const (
	Recreated = "recreated"
	Restarted = "restarted"
)

// Order is in what order containers stop and start, by their names.
type Order struct {
	Stop  []string `json:"stop"`
	Start []string `json:"start"`
}

// Interruption is for how long the container can't be reached.
type Interruption struct {
	Kind          string `json:"kind" enum:"none,restart"`
	LastMs        *int64 `json:"lastMs" doc:"The down time of its last successful update; null if there was none"`
	StopTimeoutMs *int64 `json:"stopTimeoutMs" doc:"How long its stop may take before it is killed; null: for ever"`
	Text          string `json:"text"`
}

// The kinds of an Interruption.
const (
	NotDown = "none"
	Restart = "restart"
)

// Finding is something to know: a stable code, listed in doc/errors.md, and a
// sentence.
type Finding struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}
