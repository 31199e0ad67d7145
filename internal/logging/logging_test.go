package logging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/watch-docker/watch-docker/internal/logging"
)

func newLogger(t *testing.T, opts logging.Options) (*zap.Logger, zap.AtomicLevel, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	opts.Output = &out
	logger, level, err := logging.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return logger, level, &out
}

func decodeLine(t *testing.T, out *bytes.Buffer) map[string]any {
	t.Helper()
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("not one JSON line: %v\n%s", err, out)
	}
	return line
}

func TestTheStandardFieldsHaveTheirNames(t *testing.T) {
	logger, _, out := newLogger(t, logging.Options{})
	logger.Info("done",
		logging.Component("scanner"), logging.Action("scan"), logging.Container("web"),
		logging.Image("nginx:1.27"), logging.Digest("sha256:abc"),
		logging.DurationMs(1500*time.Microsecond), logging.Err(errors.New("boom")))

	line := decodeLine(t, out)
	delete(line, "ts")
	delete(line, "caller")
	want := map[string]any{
		"level": "info", "msg": "done",
		"component": "scanner", "action": "scan", "container": "web", "image": "nginx:1.27",
		"digest": "sha256:abc", "durationMs": 1.5, "err": "boom",
	}
	if diff := cmp.Diff(want, line); diff != "" {
		t.Error(diff)
	}
}

func TestTimesAreRFC3339InUTC(t *testing.T) {
	logger, _, out := newLogger(t, logging.Options{Format: "json"})
	logger.Info("now")
	text, _ := decodeLine(t, out)["ts"].(string)
	when, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || !strings.HasSuffix(text, "Z") {
		t.Errorf("ts = %q (%v), want RFC 3339 in UTC", text, err)
	}
	if age := time.Since(when); age < -time.Second || age > time.Minute {
		t.Errorf("ts = %q is %s off", text, age)
	}
}

// verbose prints a stack for %+v, as the errors of several libraries do.
type verbose struct{}

func (verbose) Error() string { return "short" }
func (verbose) Format(s fmt.State, _ rune) {
	if s.Flag('+') {
		_, _ = io.WriteString(s, "short\nmain.go:1\nmain.go:2")
		return
	}
	_, _ = io.WriteString(s, "short")
}

func TestAnErrorIsItsTextWithoutAStack(t *testing.T) {
	for _, level := range []zapcore.Level{zapcore.InfoLevel, zapcore.WarnLevel, zapcore.ErrorLevel} {
		logger, _, out := newLogger(t, logging.Options{})
		logger.Log(level, "failed", logging.Err(verbose{}))
		line := decodeLine(t, out)
		if line["err"] != "short" {
			t.Errorf("%s: err = %v", level, line["err"])
		}
		for _, key := range []string{"errVerbose", "errorVerbose", "stacktrace"} {
			if _, there := line[key]; there {
				t.Errorf("%s: the line has %s", level, key)
			}
		}
	}
}

func TestANilErrorGivesNoField(t *testing.T) {
	logger, _, out := newLogger(t, logging.Options{})
	logger.Info("fine", logging.Err(nil))
	if _, there := decodeLine(t, out)["err"]; there {
		t.Error("there is an err field")
	}
}

func TestFormat(t *testing.T) {
	tests := []struct {
		name     string
		opts     logging.Options
		json     bool
		coloured bool
	}{
		{"json by default", logging.Options{}, true, false},
		{"console on a terminal, coloured", logging.Options{IsTerminal: true}, false, true},
		{"json on a terminal when asked for", logging.Options{Format: "json", IsTerminal: true}, true, false},
		{"console into a file is not coloured", logging.Options{Format: "console"}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			logger, _, out := newLogger(t, tt.opts)
			logger.Info("hello")
			if got := json.Valid(out.Bytes()); got != tt.json {
				t.Errorf("JSON: %v, want %v: %s", got, tt.json, out)
			}
			if got := strings.Contains(out.String(), "\x1b["); got != tt.coloured {
				t.Errorf("coloured: %v, want %v: %q", got, tt.coloured, out)
			}
		})
	}
}

func TestAConsoleMessageCannotForgeASecondLine(t *testing.T) {
	logger, _, out := newLogger(t, logging.Options{Format: "console"})
	logger.With(logging.Container("a\nb")).Info("one\n2026 INFO forged \x1b[31mred", logging.Image("c\nd"))
	if got := strings.Count(out.String(), "\n"); got != 1 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%d lines: %q", got, out)
	}
}

func TestTheLevelChangesWhileItRuns(t *testing.T) {
	logger, level, out := newLogger(t, logging.Options{Level: "warn"})
	child := logger.With(logging.Component("x"))
	child.Info("unheard")
	if err := logging.SetLevel(level, "debug"); err != nil {
		t.Fatal(err)
	}
	child.Debug("heard")
	if got := out.String(); strings.Contains(got, "unheard") || !strings.Contains(got, "heard") {
		t.Errorf("output: %s", got)
	}
}

func TestAWrongLevelIsAnErrorAndChangesNothing(t *testing.T) {
	_, level, _ := newLogger(t, logging.Options{Level: "warn"})
	if err := logging.SetLevel(level, "loud"); err == nil || !strings.Contains(err.Error(), "debug, info, warn, error") {
		t.Errorf("error: %v", err)
	}
	if level.Level() != zapcore.WarnLevel {
		t.Errorf("level is now %s", level)
	}
}

func TestNewRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, opts := range []logging.Options{{Level: "fatal"}, {Level: "INFO"}, {Format: "xml"}} {
		if _, _, err := logging.New(opts); err == nil {
			t.Errorf("%+v: no error", opts)
		}
	}
}

func TestSamplingDropsRepetitions(t *testing.T) {
	logger, _, out := newLogger(t, logging.Options{})
	for range 1000 {
		logger.Info("again")
	}
	if got := strings.Count(out.String(), "again"); got >= 1000 || got < 100 {
		t.Errorf("%d of 1000 lines were written", got)
	}
}

func TestUnsampledIsNeverDropped(t *testing.T) {
	logger, _, out := newLogger(t, logging.Options{Level: "error"})
	logger = logger.Named("setup").With(logging.Component("auth"))
	for range 1000 {
		logging.Unsampled(logger).Info("token")
	}
	if got := strings.Count(out.String(), `"msg":"token","component":"auth"`); got != 1000 {
		t.Errorf("%d of 1000 lines were written", got)
	}
}

func TestUnsampledLeavesOtherLoggersAlone(*testing.T) {
	logging.Unsampled(zap.NewNop()).Info("no panic")
}
