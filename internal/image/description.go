package image

import "time"

// Description is what an image says of itself, in a registry or on an engine.
type Description struct {
	ID        string // the engine's; empty in a registry
	Digest    string // what a registry knows it by, if that is known
	Platform  Platform
	CreatedAt time.Time // zero if it doesn't say
	Config    Config
	Layers    []Layer // the lowest first
}

// Layer is one layer of an image.
type Layer struct {
	DiffID string // digest of its content: "sha256:…"
	Digest string // of its compressed form, and that one's size; a registry alone tells
	Size   int64
}

// Config is what an image gives to its containers where they say nothing
// else. Its JSON is that of the engine and of the OCI image specification.
type Config struct {
	Env          []string            // "NAME=value"
	Entrypoint   []string            // nil: none said; [""]: none wanted
	Cmd          []string            //
	User         string              //
	WorkingDir   string              //
	StopSignal   string              //
	ExposedPorts map[string]struct{} // "80/tcp"
	Volumes      map[string]struct{} // "/data"
	Labels       map[string]string   //
	Healthcheck  *Health             // nil: nothing said
}

// Health is a health check as it is configured; zero fields are not set.
type Health struct {
	Test          []string // ["NONE"]: switched off
	Interval      time.Duration
	Timeout       time.Duration
	StartPeriod   time.Duration
	StartInterval time.Duration
	Retries       int
}
