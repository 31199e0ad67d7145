package project

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
)

const (
	// settle is how long it must be quiet before it is looked again, and
	// longestSettle how long at most that is waited for.
	settle        = 300 * time.Millisecond
	longestSettle = 3 * time.Second
	// safety is how often it is looked without any change being told.
	safety = 5 * time.Minute
	// mostWatches bounds the folders that are watched: the system gives a
	// user a limited number, for all programs.
	mostWatches = 2048
)

// Run watches the folders of compose.path until ctx is done, then returns
// nil. Where they can't be watched, which is logged, the others look more often.
func (s *Service) Run(ctx context.Context) error {
	if len(s.roots) == 0 {
		<-ctx.Done()
		return nil
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		s.log.Warn("changes below compose.path won't be noticed at once", logging.Err(err))
		<-ctx.Done()
		return nil
	}
	w := &watch{s: s, notify: notify, watched: map[string]bool{}}
	defer func() {
		s.watching.Store(false)
		_ = notify.Close() // only frees the watches
	}()
	w.follow(ctx)
	return nil
}

// watch is one Run.
type watch struct {
	s       *Service
	notify  *fsnotify.Watcher
	watched map[string]bool
	warned  bool
}

func (w *watch) follow(ctx context.Context) {
	settled, always := time.NewTimer(0), time.NewTicker(safety)
	defer settled.Stop()
	defer always.Stop()
	var since time.Time // the first change that wasn't looked at yet
	changed := func() {
		w.s.dirty.Store(true)
		if since.IsZero() {
			since = time.Now()
		}
		settled.Reset(max(0, min(settle, longestSettle-time.Since(since))))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-w.notify.Events:
			if event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename) {
				delete(w.watched, filepath.Clean(event.Name)) // the system has ended it
			}
			if w.concerns(event) {
				changed()
			}
		case err := <-w.notify.Errors: // events may have been lost
			w.s.log.Debug("watching compose.path", logging.Err(err))
			changed()
		case <-always.C:
			changed()
		case <-settled.C:
			since = time.Time{}
			if w.look(ctx) {
				changed() // once more, for what happened before the new watches
			}
		}
	}
}

// concerns says whether an event may have changed what the projects are. The
// folders also hold the data of their services, which changes all the time.
func (w *watch) concerns(event fsnotify.Event) bool {
	name := filepath.Clean(event.Name)
	snap := w.s.last.Load()
	switch {
	case snap == nil, snap.known[name], kindOf(filepath.Base(name)) != KindOther:
		return !event.Has(fsnotify.Chmod) || snap == nil || snap.known[name]
	case event.Has(fsnotify.Create):
		info, err := os.Stat(name) // a new folder, or a link to one
		return err == nil && info.IsDir() && !skipped(filepath.Base(name))
	}
	return false
}

// look scans, and watches what was found; it says whether there are new watches.
func (w *watch) look(ctx context.Context) (more bool) {
	snap, err := w.s.snapshot(ctx)
	if err != nil {
		return false // ctx has ended
	}
	whole := true
	now := map[string]bool{}
	for _, dir := range snap.watch {
		if len(now) == mostWatches {
			whole = false
			w.warn("there are too many folders below compose.path to watch them all", nil)
			break
		}
		now[dir] = true
		if w.watched[dir] {
			continue
		}
		if err := w.notify.Add(dir); err != nil {
			delete(now, dir)
			if _, gone := os.Stat(dir); gone == nil {
				whole = false
				w.warn("a folder below compose.path can't be watched", err)
			}
			continue
		}
		more = true
	}
	for dir := range w.watched {
		if !now[dir] {
			_ = w.notify.Remove(dir) // one that is gone isn't watched any more
		}
	}
	w.watched = now
	whole = whole && !slices.ContainsFunc(snap.problems, func(p Warning) bool { return p.Code == string(ErrNoRoot) })
	w.s.watching.Store(whole)
	return more
}

// warn tells once that some changes are seen only after a while.
func (w *watch) warn(what string, err error) {
	if !w.warned {
		w.warned = true
		w.s.log.Warn(what+"; changes there are noticed after a few seconds", zap.Int("most", mostWatches), logging.Err(err))
	}
}
