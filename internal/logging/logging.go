// Package logging sets up zap and holds the names of the fields that every
// log line of the program uses, so that one filter finds a container or an
// image whichever part wrote the line.
//
// There is no global logger: New makes one, and every part is handed its own,
// usually logger.With(logging.Component("scanner")).
package logging

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// The formats that Options.Format knows.
const (
	FormatJSON    = "json"
	FormatConsole = "console"
)

// What zap's production configuration samples by: within each second the
// first 100 lines of one level and message are written, then every 100th.
const (
	sampleTick       = time.Second
	sampleFirst      = 100
	sampleThereafter = 100
)

// Options say how to log. The zero value logs info and above as JSON to
// standard error.
type Options struct {
	// Level is debug, info, warn or error; empty is info.
	Level string
	// Format is json or console; empty is console on a terminal, else json.
	Format string
	// Output is where lines go, one Write each; nil is standard error.
	Output io.Writer
	// IsTerminal says that Output is a terminal: colours, and console by default.
	IsTerminal bool
}

// New makes a logger and the handle that changes its level while it runs (see
// SetLevel). JSON lines carry "ts" (RFC 3339, UTC, milliseconds), "level",
// "msg", "caller" and their fields, and are sampled as zap's production
// configuration does; console lines are for people, and not sampled.
//
// A stack is written by nothing but a panic: an error's text is enough for
// the lines in between. Errors: a level or format that there isn't.
func New(opts Options) (*zap.Logger, zap.AtomicLevel, error) {
	level, err := ParseLevel(opts.Level)
	if err != nil {
		return nil, zap.AtomicLevel{}, err
	}
	format, err := chooseFormat(opts)
	if err != nil {
		return nil, zap.AtomicLevel{}, err
	}
	if opts.Output == nil {
		opts.Output = os.Stderr
	}
	handle := zap.NewAtomicLevelAt(level)
	out := zapcore.Lock(zapcore.AddSync(opts.Output))
	core := newCore(encoder(format, opts.IsTerminal), out, handle, format == FormatJSON)
	return zap.New(core, zap.AddCaller(), zap.AddStacktrace(zapcore.DPanicLevel)), handle, nil
}

// ParseLevel reads debug, info, warn or error; empty is info. zap knows more
// levels, but those end the program, which is no choice for a configuration.
func ParseLevel(text string) (zapcore.Level, error) {
	switch text {
	case "debug":
		return zapcore.DebugLevel, nil
	case "info", "":
		return zapcore.InfoLevel, nil
	case "warn":
		return zapcore.WarnLevel, nil
	case "error":
		return zapcore.ErrorLevel, nil
	}
	return zapcore.InfoLevel, fmt.Errorf("log level %q: allowed are debug, info, warn, error", text)
}

// SetLevel changes the level of every logger that came from the same New. A
// level that there isn't is an error and changes nothing.
func SetLevel(handle zap.AtomicLevel, text string) error {
	level, err := ParseLevel(text)
	if err != nil {
		return err
	}
	handle.SetLevel(level)
	return nil
}

func chooseFormat(opts Options) (string, error) {
	switch opts.Format {
	case FormatJSON, FormatConsole:
		return opts.Format, nil
	case "":
		if opts.IsTerminal {
			return FormatConsole, nil
		}
		return FormatJSON, nil
	}
	return "", fmt.Errorf("log format %q: allowed are %s, %s", opts.Format, FormatJSON, FormatConsole)
}

func encoder(format string, coloured bool) zapcore.Encoder {
	if format == FormatJSON {
		cfg := zap.NewProductionEncoderConfig()
		cfg.EncodeTime = encodeTime
		cfg.EncodeDuration = zapcore.StringDurationEncoder
		return zapcore.NewJSONEncoder(cfg)
	}
	cfg := zap.NewDevelopmentEncoderConfig()
	cfg.EncodeTime = encodeTime
	cfg.EncodeLevel = zapcore.CapitalLevelEncoder
	if coloured {
		cfg.EncodeLevel = zapcore.CapitalColorLevelEncoder
	}
	cfg.CallerKey = zapcore.OmitKey // for people, who look at the message
	cfg.ConsoleSeparator = "  "
	return oneLine{zapcore.NewConsoleEncoder(cfg)}
}

func encodeTime(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
	enc.AppendString(t.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
}

// escapeControls replaces what could start a new line, or steer the terminal,
// from within a message. JSON escapes it by itself; the console encoder doesn't.
func escapeControls(s string) string {
	if strings.IndexFunc(s, isControl) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if isControl(r) {
			fmt.Fprintf(&b, `\x%02x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func isControl(r rune) bool { return r != '\t' && (r < 0x20 || r >= 0x7f && r < 0xa0) }
