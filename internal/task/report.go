package task

import (
	"context"
	"strings"
	"time"

	"github.com/watch-docker/watch-docker/internal/store"
)

// What is kept of a command's output: its end.
const (
	maxLines = 500
	maxBytes = 64 << 10
	maxLine  = 4 << 10
)

// Report is how work tells what it is at. Safe for concurrent use.
type Report struct {
	job  *job
	keep context.Context // outlives the work's
}

// ID is the operation's.
func (r *Report) ID() string { return r.job.op.ID }

// Step begins a step; the one before it is done.
func (r *Report) Step(name string) {
	j, now := r.job, time.Now().UTC()
	j.mu.Lock()
	n := len(j.op.Steps)
	j.closeStep(now, true)
	j.op.Progress = nil
	j.op.Steps = append(j.op.Steps, store.Step{Name: name, State: store.StepRunning, StartedAt: now})
	steps := append([]store.Step{}, j.op.Steps[max(0, n-1):]...)
	j.mu.Unlock()
	for i, step := range steps {
		j.runner.saveStep(r.keep, j.op.ID, max(0, n-1)+i, step)
	}
	j.runner.tell(j.op.ID)
}

// Detail says more about the step that runs, in place of what was said before.
func (r *Report) Detail(text string) {
	r.change(func(o *store.Operation) {
		if n := len(o.Steps); n > 0 {
			o.Steps[n-1].Detail = text
		}
	})
}

// Progress says how far the step that runs is.
func (r *Report) Progress(p store.Progress) {
	r.change(func(o *store.Operation) { o.Progress = &p })
}

// Line keeps a line of what a command writes: the last 500, 64 KiB at most, and
// of one line its first 4 KiB.
func (r *Report) Line(text string) {
	text = strings.TrimRight(text, "\r\n")
	if len(text) > maxLine {
		text = text[:maxLine] + "…"
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	j := r.job
	r.change(func(o *store.Operation) {
		o.Output = append(o.Output, text) // never changed in place: snapshots share it
		j.bytes += len(text) + 1
		for len(o.Output) > maxLines || j.bytes > maxBytes {
			j.bytes -= len(o.Output[0]) + 1
			o.Output = o.Output[1:]
		}
	})
}

// Commit is the point of no return: from here on the operation can't be
// cancelled, though the program's end still ends it. False means that it has
// been cancelled; the work then comes back with its ctx's error.
func (r *Report) Commit() bool {
	j := r.job
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.by != "" {
		return false
	}
	j.committed = true
	return true
}

func (r *Report) change(do func(*store.Operation)) {
	r.job.mu.Lock()
	do(&r.job.op)
	r.job.mu.Unlock()
	r.job.runner.tell(r.job.op.ID)
}
