package app

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/audit"
	"github.com/watch-docker/watch-docker/internal/config"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
)

// ExitSome says that some of several updates didn't succeed.
const ExitSome = 4

// runUpdate updates containers: through the server if one runs, else by itself.
func runUpdate(ctx context.Context, p Program, args []string) int {
	set, file := p.flags("update")
	all := set.Bool("all", false, "update everything that policy allows")
	var a updateArgs
	set.BoolVar(&a.Force, "force", false, "also what policy holds back for it")
	set.BoolVar(&a.DryRun, "dry-run", false, "only say what would be done")
	asJSON := set.Bool("json", false, "print JSON on standard output and nothing else there")
	names, code, ok := p.parseNames(set, args)
	if !ok {
		return code
	}
	a.Names = names
	if *all == (len(names) > 0) {
		p.complain("update takes -all, or names of containers")
		return ExitUsage
	}
	return p.operate(ctx, *file, a, *asJSON)
}

// runRollback gives one container the image back that it ran before.
func runRollback(ctx context.Context, p Program, args []string) int {
	set, file := p.flags("rollback")
	asJSON := set.Bool("json", false, "print JSON on standard output and nothing else there")
	names, code, ok := p.parseNames(set, args)
	if !ok {
		return code
	}
	if len(names) != 1 {
		p.complain("rollback takes the name of one container")
		return ExitUsage
	}
	return p.operate(ctx, *file, updateArgs{Names: names, Back: true}, *asJSON)
}

// operate does what was asked for, and says how it went.
func (p Program) operate(ctx context.Context, file string, a updateArgs, asJSON bool) int {
	cfg, ok := p.configured(file)
	if !ok {
		return ExitUsage
	}
	view := newStepView(p.Stderr)
	run, err := p.update(ctx, cfg, a, view)
	view.clear()
	if err != nil {
		return p.failed(ctx, err)
	}
	if err := p.printRun(run, a.DryRun, asJSON); err != nil {
		p.complain("%v", err)
		return ExitFailed
	}
	return exitCode(run)
}

// parseNames reads flags and names in any order.
func (p Program) parseNames(set *flag.FlagSet, args []string) (names []string, code int, ok bool) {
	for {
		switch err := set.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			return nil, ExitOK, false
		case err != nil:
			return nil, ExitUsage, false
		case set.NArg() == 0:
			return names, ExitOK, true
		}
		names = append(names, set.Arg(0))
		args = set.Args()[1:]
	}
}

// update asks the server that owns the state folder, or owns it itself.
func (p Program) update(ctx context.Context, cfg *config.Config, a updateArgs, view *stepView) (api.Run, error) {
	run, ok, err := askServer(ctx, cfg.StatePath, a, view.message)
	if ok || err != nil {
		return run, err
	}
	owner, err := store.Own(cfg.StatePath)
	if err != nil {
		return api.Run{}, err
	}
	run, err = p.updateHere(ctx, cfg, a, view)
	return run, errors.Join(err, owner.Close())
}

func (p Program) updateHere(ctx context.Context, cfg *config.Config, a updateArgs, view *stepView) (run api.Run, err error) {
	log, _, err := logging.New(logging.Options{Level: "error", Format: logging.FormatConsole, Output: io.Discard})
	if err != nil {
		return run, err
	}
	st, err := store.Open(ctx, cfg.StatePath)
	if err != nil {
		return run, err
	}
	parts, err := assemble(ctx, cfg, p.Environ, log, st, updater.Self{})
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, parts.Close()) }()
	if err := parts.updater.Recover(ctx); err != nil {
		return run, err
	}
	working, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = parts.updater.Run(working) // ends with its context
	}()
	defer func() { stop(); <-ended }()
	run, err = parts.operator.command(ctx, a, view.progress.references, view.operation)
	recordRun(ctx, audit.New(audit.Dependencies{Store: st}), audit.ViaCommand, a, run, err)
	return run, err
}

func exitCode(run api.Run) int {
	failed := 0
	for _, op := range run.Operations {
		if op.State.Finished() && op.State != store.Succeeded && !leftAlone(op) {
			failed++
		}
	}
	switch {
	case failed == 0:
		return ExitOK
	case failed < len(run.Operations):
		return ExitSome
	}
	return ExitFailed
}

// leftAlone reports whether the container's own command asked for it.
func leftAlone(op store.Operation) bool {
	return op.State == store.Cancelled && op.Error != nil && op.Error.Code == updater.CodeSkipped
}

func (p Program) printRun(run api.Run, dryRun, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(p.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(run)
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	if len(run.Operations) > 0 {
		_, _ = fmt.Fprintln(w, "NAME\tRESULT\tFROM\tTO\tDOWN\tWHY") // a builder takes everything
	}
	for _, op := range run.Operations {
		why, down := "", ""
		if op.Error != nil {
			why = op.Error.Message
		}
		if op.DowntimeMs > 0 {
			down = fmt.Sprintf("%.1f s", float64(op.DowntimeMs)/1000)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", op.Target, outcome(op, dryRun), shortDigest(op.FromDigest), shortDigest(op.ToDigest), down, why)
	}
	_ = w.Flush()
	for _, op := range run.Operations {
		if op.Error != nil && len(op.Error.Logs) > 0 {
			fmt.Fprintf(&b, "\nThe last lines that %s wrote:\n  %s\n", op.Target, strings.Join(op.Error.Logs[max(0, len(op.Error.Logs)-20):], "\n  "))
		}
	}
	for _, left := range run.Skipped {
		fmt.Fprintf(&b, "%s left alone: %s\n", left.Name, left.Reason)
	}
	if len(run.Operations) == 0 {
		b.WriteString("Nothing to update.\n")
	}
	for _, pre := range run.Previews {
		b.WriteString("\n" + renderPreview(pre))
	}
	_, err := io.WriteString(p.Stdout, b.String())
	return err
}

func outcome(op store.Operation, dryRun bool) string {
	if dryRun {
		return "would update"
	}
	switch op.State {
	case store.Cancelled:
		if leftAlone(op) {
			return "left alone"
		}
	case store.Succeeded:
		if op.DowntimeMs == 0 && len(op.Steps) <= 2 {
			return "nothing new"
		}
		if op.Kind == updater.KindRollback {
			return "back"
		}
		return "updated"
	case store.RolledBack:
		return "rolled back"
	}
	return string(op.State)
}

func shortDigest(d string) string { return strings.TrimPrefix(shorten(d), "sha256:") }

// stepView shows steps as they come: one line each, and on a terminal the
// pull's bytes in a line that goes away again.
type stepView struct {
	progress *progress
	seen     map[string]int // by operation: steps that are written out
}

func newStepView(w io.Writer) *stepView {
	return &stepView{progress: newProgress(w), seen: map[string]int{}}
}

func (v *stepView) message(m message) {
	switch {
	case m.Asked != nil:
		v.progress.references(m.Asked.Done, m.Asked.Total)
	case m.Operation != nil:
		v.operation(*m.Operation)
	}
}

func (v *stepView) operation(op store.Operation) {
	for _, s := range op.Steps[min(v.seen[op.ID], len(op.Steps)):] {
		if s.State == store.StepRunning {
			break
		}
		v.clear()
		v.seen[op.ID]++
		line := fmt.Sprintf("%s: %s %s (%.1f s)", op.Target, s.Name, s.State, s.FinishedAt.Sub(s.StartedAt).Seconds())
		if s.Detail != "" {
			line += ": " + s.Detail
		}
		_, _ = fmt.Fprintln(v.progress.w, line)
	}
	if p := op.Progress; p != nil && v.progress.live {
		_, _ = fmt.Fprintf(v.progress.w, "\r\x1b[K%s: %s", op.Target, pulled(*p))
		v.progress.shown = true
	}
}

// pulled says in a few words how far a pull is.
func pulled(p store.Progress) string {
	text := fmt.Sprintf("%s %.1f of %.1f MB", p.Text, float64(p.Current)/1e6, float64(p.Total)/1e6)
	if p.Rate > 0 {
		text += fmt.Sprintf(", %.1f MB/s", float64(p.Rate)/1e6)
	}
	if p.SecondsLeft != nil {
		text += fmt.Sprintf(", %s left", time.Duration(*p.SecondsLeft)*time.Second)
	}
	done := 0
	for _, l := range p.Layers {
		if l.State == "done" || l.State == "exists" {
			done++
		}
	}
	if len(p.Layers) > 0 {
		text += fmt.Sprintf(", %d of %d layers", done, len(p.Layers))
	}
	return text
}

func (v *stepView) clear() { v.progress.clear() }
