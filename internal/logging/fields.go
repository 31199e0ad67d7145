package logging

import (
	"math"
	"time"

	"go.uber.org/zap"
)

// The names of the standard fields.
const (
	KeyComponent  = "component"
	KeyAction     = "action"
	KeyContainer  = "container"
	KeyImage      = "image"
	KeyDigest     = "digest"
	KeyDurationMs = "durationMs"
	KeyErr        = "err"
)

// Component is the part of the program that writes the line: "scanner",
// "registry". Usually given once, to the logger that the part is handed.
func Component(name string) zap.Field { return zap.String(KeyComponent, name) }

// Action is what was being done, as one word: "scan", "pull", "login".
func Action(name string) zap.Field { return zap.String(KeyAction, name) }

// Container is the container's name, without the leading slash.
func Container(name string) zap.Field { return zap.String(KeyContainer, name) }

// Image is an image reference, in whichever form the user knows it by.
func Image(ref string) zap.Field { return zap.String(KeyImage, ref) }

// Digest is a manifest digest: "sha256:…".
func Digest(digest string) zap.Field { return zap.String(KeyDigest, digest) }

// DurationMs is how long it took, as a number of milliseconds, down to
// microseconds: 0.25 is a quarter of one.
func DurationMs(d time.Duration) zap.Field {
	return zap.Float64(KeyDurationMs, math.Round(d.Seconds()*1e6)/1e3)
}

// Err is the error's text and nothing more: zap.Error would add a stack
// ("errorVerbose") for errors that carry one. A nil error gives no field.
func Err(err error) zap.Field {
	if err == nil {
		return zap.Skip()
	}
	return zap.String(KeyErr, err.Error())
}
