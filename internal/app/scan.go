package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/config"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
)

// runScan does one scan. It needs no server and no account: who can reach the
// engine's socket owns the host already.
func runScan(ctx context.Context, p Program, args []string) int {
	set, file := p.flags("scan")
	asJSON := set.Bool("json", false, "print JSON on standard output and nothing else there")
	exitCode := set.Bool("exit-code", false, "exit with 3 if something can be updated")
	if code, ok := p.parse(set, args); !ok {
		return code
	}
	cfg, ok := p.configured(*file)
	if !ok {
		return ExitUsage
	}
	result, err := scanOnce(ctx, p, cfg)
	if err != nil {
		return p.failed(ctx, err)
	}
	if err := p.print(result, *asJSON); err != nil {
		p.complain("%v", err)
		return ExitFailed
	}
	outdated := slices.ContainsFunc(result.Containers, func(c scanner.ContainerStatus) bool { return c.Status == scanner.UpdateAvailable })
	if *exitCode && outdated {
		return ExitOutdated
	}
	return ExitOK
}

func scanOnce(ctx context.Context, p Program, cfg *config.Config) (scanner.Result, error) {
	log, _, err := logging.New(logging.Options{Level: "warn", Format: logging.FormatConsole, Output: p.Stderr})
	if err != nil {
		return scanner.Result{}, err
	}
	st, err := openForReading(ctx, cfg.StatePath, log)
	if err != nil {
		return scanner.Result{}, err
	}
	parts, err := assemble(ctx, cfg, p.Environ, log, st, updater.Self{})
	if err != nil {
		return scanner.Result{}, err
	}
	progress := newProgress(p.Stderr)
	result, err := parts.scanner.Scan(ctx, scanner.Options{Progress: progress.references})
	progress.clear()
	if closeErr := parts.Close(); err == nil {
		err = closeErr
	}
	return result, err
}

// openForReading opens the store, or one in memory where the folder can't be
// used: a scan changes nothing, it only costs more requests without. Beside a
// server the schema is the server's: another release leaves it alone.
func openForReading(ctx context.Context, folder string, log *zap.Logger) (*store.Store, error) {
	open := store.Open
	owner, err := store.Own(folder)
	switch {
	case err == nil:
		defer owner.Close() //nolint:errcheck // the folder is given back when the process ends, at the latest
	case errors.Is(err, store.ErrOwned):
		open = store.Join
	}
	st, err := open(ctx, folder)
	if err == nil {
		return st, nil
	}
	log.Warn("going on without what earlier scans have learned", logging.Err(err))
	return store.OpenMemory(ctx)
}

func (p Program) print(result scanner.Result, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(p.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(result)
	}
	width, isTerminal := terminal(p.Stdout)
	_, err := io.WriteString(p.Stdout, table{
		now: time.Now(), width: width, colour: isTerminal && p.getenv("NO_COLOR") == "",
	}.render(result))
	return err
}

// progress shows on a terminal how far the registries are, in one line that
// goes away again; elsewhere it says once what is being waited for.
type progress struct {
	w     io.Writer
	live  bool
	shown bool
}

func newProgress(w io.Writer) *progress {
	_, live := terminal(w)
	return &progress{w: w, live: live}
}

// references is a scanner.Progress; the scanner calls it one at a time.
func (p *progress) references(done, total int) {
	switch {
	case p.live:
		_, _ = fmt.Fprintf(p.w, "\r\x1b[Kasking registries: %d of %d references answered", done, total)
	case !p.shown:
		_, _ = fmt.Fprintf(p.w, "asking registries about %d references\n", total)
	}
	p.shown = true
}

func (p *progress) clear() {
	if p.live && p.shown {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
	}
}
