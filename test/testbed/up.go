package testbed

import (
	"context"
	"errors"
	"io"
	"testing"
)

// Options say what [Up] brings up. The zero value is an empty bed.
type Options struct {
	// Engine is the engine to start or to use, if any.
	Engine EngineChoice
	// Registries are the registries to start.
	Registries []Kind
	// Detached lets another process find the bed ([Detached]) and end this one.
	Detached bool
	// Log gets what takes long or goes wrong on the way; nil is nowhere.
	Log io.Writer
}

// An Option is a part that a test asks [New] for.
type Option func(*Options)

// WithEngine asks for an engine.
func WithEngine(choice EngineChoice) Option {
	return func(o *Options) { o.Engine = choice }
}

// WithRegistry asks for registries, one of each kind.
func WithRegistry(kinds ...Kind) Option {
	return func(o *Options) { o.Registries = append(o.Registries, kinds...) }
}

// New brings up a bed for one test and takes it down when the test ends. What
// can't be had fails the test: a testbed that skips proves nothing.
func New(t testing.TB, opts ...Option) *Bed {
	t.Helper()
	o := Options{Log: t.Output()}
	for _, opt := range opts {
		opt(&o)
	}
	bed, err := Up(t.Context(), o)
	if err != nil {
		t.Fatalf("testbed: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(bed.EngineLogs())
		}
		if err := bed.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("testbed: %v", err)
		}
	})
	return bed
}

// Up brings up a bed, after sweeping up what beds without an owner have left.
// If it fails, nothing remains. The bed lives until [Bed.Close]; ctx bounds
// only the bringing up.
func Up(ctx context.Context, opts Options) (*Bed, error) {
	bed, err := newBed(ctx, opts)
	if err != nil {
		return nil, err
	}
	if err := bed.start(ctx, opts); err != nil {
		return nil, errors.Join(err, bed.Close(context.WithoutCancel(ctx)))
	}
	return bed, nil
}
