package logging

import (
	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// core is what loggers from New write to. It keeps the plain core beside the
// filtered one, so that Unsampled can get at it however many fields have been
// added in between.
type core struct {
	zapcore.Core // obeys the level, and samples if asked to
	plain        zapcore.Core
}

func newCore(enc zapcore.Encoder, out zapcore.WriteSyncer, level zapcore.LevelEnabler, sampled bool) *core {
	filtered := zapcore.NewCore(enc, out, level)
	if sampled {
		filtered = zapcore.NewSamplerWithOptions(filtered, sampleTick, sampleFirst, sampleThereafter)
	}
	return &core{Core: filtered, plain: zapcore.NewCore(enc.Clone(), out, zapcore.DebugLevel)}
}

// With keeps both cores under the same fields.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{Core: c.Core.With(fields), plain: c.plain.With(fields)}
}

// Unsampled gives a logger with the same fields whose lines are always
// written: never sampled away, and not held back by the level either. It is
// for the one line that must not get lost, such as the one-time set-up token.
// A logger that isn't from New is returned as it is.
func Unsampled(logger *zap.Logger) *zap.Logger {
	return logger.WithOptions(zap.WrapCore(func(wrapped zapcore.Core) zapcore.Core {
		if c, ok := wrapped.(*core); ok {
			return c.plain
		}
		return wrapped
	}))
}

// oneLine keeps a console message on its line: text that came from outside
// (a container's name, a registry's answer) must not forge a second one.
type oneLine struct{ zapcore.Encoder }

func (e oneLine) Clone() zapcore.Encoder { return oneLine{e.Encoder.Clone()} }

func (e oneLine) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	entry.Message = escapeControls(entry.Message)
	return e.Encoder.EncodeEntry(entry, fields)
}
