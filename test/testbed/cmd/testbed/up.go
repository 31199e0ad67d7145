package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// reportFD is where a process in the background tells the one that started it
// how it went.
const reportFD = 3

// upFlags are what `up` was told.
type upFlags struct {
	detach     bool
	engine     string
	registries string
	env        string
	report     bool
}

func up(ctx context.Context, args []string, out, log io.Writer) error {
	var f upFlags
	set := flags("up", log)
	set.BoolVar(&f.detach, "d", false, "go to the background when everything is up")
	set.StringVar(&f.engine, "engine", string(testbed.AnyEngine), "auto, private, existing, debian, newest, or empty for none")
	set.StringVar(&f.registries, "registries", "plain,token,tls-token", "which registries, parted by commas")
	set.StringVar(&f.env, "env", "", "write how to reach everything to this `file` (default: one of the testbed's own)")
	set.BoolVar(&f.report, "report", false, "for the testbed's own use")
	if err := set.Parse(args); err != nil {
		return flag.ErrHelp
	}
	if f.detach {
		return detach(ctx, f, out, log)
	}
	return stay(ctx, f, out, log)
}

func (f *upFlags) options(log io.Writer) testbed.Options {
	o := testbed.Options{Engine: testbed.EngineChoice(f.engine), Detached: f.report, Log: log}
	for kind := range strings.SplitSeq(f.registries, ",") {
		if kind != "" {
			o.Registries = append(o.Registries, testbed.Kind(kind))
		}
	}
	return o
}

// stay brings up, says what there is, waits for the end, and takes down.
func stay(ctx context.Context, f upFlags, out, log io.Writer) (err error) {
	if f.report {
		syscall.CloseOnExec(reportFD) // or dockerd would hold it open
		report := os.NewFile(reportFD, "report")
		defer func() { _ = report.Close() }()
		out = report
	}
	bed, err := testbed.Up(ctx, f.options(log))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bed.Close(context.WithoutCancel(ctx))) }()
	if f.env == "" {
		f.env = filepath.Join(bed.Dir(), "env")
	}
	if err := bed.WriteEnv(f.env); err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.env) }()
	describe(out, bed, f.env)
	if report, ok := out.(*os.File); ok && f.report {
		_ = report.Close()
	} else {
		_, _ = fmt.Fprintln(out, "\nCtrl-C takes everything down.")
	}
	<-ctx.Done()
	return nil
}

func describe(w io.Writer, bed *testbed.Bed, env string) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	p("testbed     %s", bed.ID())
	if e, ok := bed.HasEngine(); ok {
		p("engine      Docker %s (API %s) at %s", e.Version(), e.APIVersion(), e.Host())
	}
	for _, r := range bed.Registries() {
		p("registry    %-9s %s", r.Kind(), r.URL())
	}
	p("login       %s; its passwords and all the rest: set -a; . %s", testbed.Username, env)
	p("CA          %s", bed.CAFile())
}

// detach runs `up` again as a process of its own session, and waits until
// that one has reported.
func detach(ctx context.Context, f upFlags, out, log io.Writer) error {
	report, childReport, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	defer func() { _ = report.Close() }()
	complaints, err := os.CreateTemp("", "testbed-up-*.log")
	if err != nil {
		return fmt.Errorf("make log: %w", err)
	}
	defer func() { _ = complaints.Close(); _ = os.Remove(complaints.Name()) }()
	cmd, err := f.background(childReport, complaints)
	_ = childReport.Close()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	said, err := io.ReadAll(report)
	if err == nil && len(said) > 0 {
		_, _ = out.Write(said)
		_, _ = fmt.Fprintln(out, "\n`testbed down` takes it down.")
		return nil
	}
	_ = cmd.Wait()
	text, readErr := os.ReadFile(complaints.Name())
	_, _ = log.Write(text)
	return errors.Join(errors.New("it didn't come up"), err, readErr)
}

func (f *upFlags) background(report, complaints *os.File) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	env := f.env
	if env != "" {
		if env, err = filepath.Abs(env); err != nil {
			return nil, fmt.Errorf("find %s: %w", f.env, err)
		}
	}
	cmd := exec.Command(self, "up", "-engine", f.engine, "-registries", f.registries, "-env", env, "-report")
	cmd.ExtraFiles = []*os.File{report}
	cmd.Stderr = complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start in the background: %w", err)
	}
	return cmd, nil
}
