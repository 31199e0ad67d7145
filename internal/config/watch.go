package config

import (
	"context"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
)

// settleTime is how long the file must be left alone before it is read:
// editors write in several steps.
const settleTime = 200 * time.Millisecond

// WatcherOptions are what a Watcher needs. Only Load is needed; it must be
// what the first Config was loaded with.
type WatcherOptions struct {
	Load Options
	// Logger gets a line for each reload, and for each problem of one that failed.
	Logger *zap.Logger
	// OnError is called with the error of each reload that failed, from Run.
	OnError func(error)
	// Settle is how long the file must be left alone before it is read; zero is 200 ms.
	Settle time.Duration
}

// Watcher holds the current configuration and replaces it when its file
// changes for the better. A file that is wrong is reported, and the old values
// stay. It doesn't look for a file that wasn't there at first, nor at the
// files that passwords were read from.
type Watcher struct {
	opts    WatcherOptions
	current atomic.Pointer[Config]

	reloading   sync.Mutex // one reload at a time, and subscribers hear of them in order
	lastError   string
	mu          sync.Mutex
	subscribers map[int]func(*Config)
	nextID      int
}

// NewWatcher makes a Watcher that starts from cfg, which Load gave. It does
// nothing before Run, or Reload.
func NewWatcher(cfg *Config, opts WatcherOptions) *Watcher {
	if opts.Logger == nil {
		opts.Logger = zap.NewNop()
	}
	if opts.Settle == 0 {
		opts.Settle = settleTime
	}
	if cfg.file != "" {
		opts.Load.File = cfg.file // this file, whatever else may appear where one is looked for
	}
	w := &Watcher{opts: opts, subscribers: map[int]func(*Config){}}
	w.current.Store(cfg)
	return w
}

// Current is the configuration as it counts now. Ask again instead of keeping it.
func (w *Watcher) Current() *Config { return w.current.Load() }

// Subscribe has fn called with each new configuration, one after another, from
// Run or Reload; it should not take long, and must not call Reload. The
// returned function ends that.
func (w *Watcher) Subscribe(fn func(*Config)) (unsubscribe func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := w.nextID
	w.nextID++
	w.subscribers[id] = fn
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.subscribers, id)
	}
}

// Run watches the file until ctx is done, then returns nil. Without a file,
// or where the system can't watch one (which is logged), it only waits.
func (w *Watcher) Run(ctx context.Context) error {
	file := w.Current().file
	if file == "" {
		<-ctx.Done()
		return nil
	}
	files, err := watchFile(file)
	if err != nil {
		w.opts.Logger.Warn("changes of the configuration file won't be noticed", zap.String("err", err.Error()))
		<-ctx.Done()
		return nil
	}
	defer files.close()
	w.follow(ctx, files)
	return nil
}

// follow reloads once the file has been left alone for a while.
func (w *Watcher) follow(ctx context.Context, files *fileWatch) {
	settled := time.NewTimer(w.opts.Settle) // for what changed between Load and now
	defer settled.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-files.notify.Events:
			if files.concerns(event) {
				settled.Reset(w.opts.Settle)
			}
		case err := <-files.notify.Errors:
			// Events may have been lost (ErrEventOverflow), so look.
			w.opts.Logger.Warn("watching the configuration file", zap.String("err", err.Error()))
			settled.Reset(w.opts.Settle)
		case <-settled.C:
			_ = w.Reload() // reported already
		}
	}
}

// Reload reads the file now, as on SIGHUP. Subscribers are told only if
// something changed that can change at run time. The error is that of Load;
// it has been reported, and the old values stay.
func (w *Watcher) Reload() error {
	w.reloading.Lock()
	defer w.reloading.Unlock()
	old := w.Current()
	fresh, err := Load(w.opts.Load)
	if err == nil && fresh.blank && !old.blank {
		err = emptied(fresh.file)
	}
	if err != nil {
		w.reject(err)
		return err
	}
	w.lastError = ""
	kept := keep(fresh, old)
	if len(kept) > 0 {
		w.opts.Logger.Warn("changed in the configuration file, but needs a restart", zap.Strings("keys", kept))
	}
	changed := Changes(old, fresh)
	w.current.Store(fresh)
	if len(changed) == 0 {
		return nil
	}
	w.opts.Logger.Info("configuration reloaded", zap.Strings("keys", changed))
	for _, fn := range w.listeners() {
		fn(fresh)
	}
	return nil
}

// emptied refuses a file that has lost everything: whoever writes it has not
// got further than to empty it, or the disk is full. To take it for the wish
// to have all defaults would, say, update containers that onlyLabels spared.
func emptied(file string) error {
	return asError([]Problem{{Key: "configuration file", Value: file, Source: file,
		Message: "the file has become empty; allowed: at least a comment, if the defaults are meant"}})
}

// reject reports an error once, however many events the same file makes.
func (w *Watcher) reject(err error) {
	if err.Error() == w.lastError {
		return
	}
	w.lastError = err.Error()
	problems := []Problem{{Key: "configuration", Message: err.Error()}}
	if list, ok := err.(*Error); ok { //nolint:errorlint // Load doesn't wrap it
		problems = list.Problems
	}
	for _, p := range problems {
		w.opts.Logger.Error("configuration not reloaded, the old values stay", zap.String("err", p.String()))
	}
	if w.opts.OnError != nil {
		w.opts.OnError(err)
	}
}

func (w *Watcher) listeners() []func(*Config) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []func(*Config)
	for id := range w.nextID {
		if fn := w.subscribers[id]; fn != nil {
			list = append(list, fn)
		}
	}
	return list
}

// keep puts the old values of what can't change at run time into fresh, and
// names those that differed.
func keep(fresh, old *Config) []string {
	var kept []string
	for _, name := range Changes(old, fresh) {
		if !slices.Contains(RestartKeys(), name) {
			continue
		}
		fresh.field(name).Set(old.field(name))
		delete(fresh.sources, name)
		if source, ok := old.sources[name]; ok {
			fresh.sources[name] = source
		}
		kept = append(kept, name)
	}
	return kept
}

// Changes are the keys whose values differ.
func Changes(a, b *Config) []string {
	var names []string
	for _, k := range Keys() {
		if !reflect.DeepEqual(a.value(k.Name), b.value(k.Name)) {
			names = append(names, k.Name)
		}
	}
	return names
}

// fileWatch notices changes of one file. It watches folders, not the file: an
// editor puts a new file in place of the old one, and Kubernetes and Docker
// swap a symbolic link on the way to it.
type fileWatch struct {
	notify *fsnotify.Watcher
	file   string
	real   string // where the links lead, "" while they lead nowhere
}

func watchFile(file string) (*fileWatch, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	f := &fileWatch{notify: notify, file: file}
	if err := notify.Add(filepath.Dir(file)); err != nil {
		f.close()
		return nil, err
	}
	f.moved()
	return f, nil
}

func (f *fileWatch) close() { _ = f.notify.Close() } // only frees the watches

// concerns reports whether an event may have changed what the file says.
// Others in its folder don't count: that is often the state folder too, where
// the database is written all the time.
func (f *fileWatch) concerns(event fsnotify.Event) bool {
	name := filepath.Clean(event.Name)
	return f.moved() || name == f.file || name == f.real
}

// moved follows the links again, and watches the folder at their end too.
func (f *fileWatch) moved() bool {
	target, err := filepath.EvalSymlinks(f.file)
	if err != nil {
		target = ""
	}
	if target == f.real {
		return false
	}
	f.real = target
	if target != "" {
		// Watching a folder twice does nothing; one that can't be watched
		// leaves the changes of links, which are seen anyway.
		_ = f.notify.Add(filepath.Dir(target))
	}
	return true
}
