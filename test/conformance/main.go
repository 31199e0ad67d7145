// Conformance judges an updater of containers: it makes containers on a real
// Docker engine, brings out new releases of their images, runs the updater as
// a command, and looks at what the engine shows afterwards. Nothing of the
// updater is known but that command. See doc/reliability.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// The exit codes.
const (
	exitClean  = 0 // no case failed
	exitFailed = 1
	exitUsage  = 2
	exitBroken = 3 // the suite itself couldn't do its work
)

const usage = `conformance judges an updater of Docker containers by what it does to them.

  conformance -updater 'COMMAND' [flags]

COMMAND is anything that finds the containers whose image has a newer release,
updates them, and ends; for a program that stays, the flag that makes it run
once. It is run by sh -c, many times, with this environment and no other:

  DOCKER_HOST           the socket of a private Docker engine
  HOME, STATE_PATH, CONFIG_PATH, DOCKER_CONFIG
                        a folder of its own, new and empty. Runs that follow
                        each other on the same containers share it
  CONFORMANCE_REGISTRY  host:port of a registry on loopback: plain HTTP, no
                        password. All images are there, tagged "latest"
  PATH                  that of the suite

What is judged are the engine's containers alone; what the updater says, its
exit code, and how it works don't count. In the group "kill" the command's
whole process group gets SIGKILL, so it must be the updater itself, and not
one that asks another process to do the work. A container counts as updated if
docker inspect shows what the same docker create makes from the new image.

Results: pass; FAIL; n/a (never reached, or not possible on this engine).
Exit code: 0 no case failed, 1 some did, 2 wrong usage, 3 the suite broke down.

`

// options are the command line.
type options struct {
	updater  string
	engine   string
	run      string
	timeout  time.Duration
	logs     string
	list     bool
	json     bool
	markdown bool
	compare  string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := program(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func program(ctx context.Context, args []string, out, log io.Writer) int {
	var o options
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.StringVar(&o.updater, "updater", "", "the `COMMAND` to judge; without it Watch Docker is built from this tree: watch-docker update -all")
	flags.StringVar(&o.engine, "engine", "", "the `ENGINE`: oldest (Docker 20.10 of Debian 12) or newest (Moby, built the first time); without it what "+testbed.EngineEnv+" says, or the oldest")
	flags.StringVar(&o.run, "run", "", "only the cases whose GROUP/CASE this `REGEX` matches")
	flags.DurationVar(&o.timeout, "timeout", 3*time.Minute, "how long one run of the command may take before it is killed")
	flags.StringVar(&o.logs, "logs", "", "keep what the command says, one file for each run, in the folder `DIR`")
	flags.BoolVar(&o.list, "list", false, "list the cases and what each asks for, and end")
	flags.BoolVar(&o.json, "json", false, "print the results as JSON")
	flags.BoolVar(&o.markdown, "markdown", false, "print the results as a Markdown table")
	flags.StringVar(&o.compare, "compare", "", "run nothing: print a Markdown table of earlier -json results, `NAME=FILE,NAME=FILE…`")
	flags.Usage = func() {
		_, _ = io.WriteString(log, usage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitClean
	} else if err != nil {
		return exitUsage
	}
	choice, pattern, err := o.check(flags.Args())
	if err != nil {
		_, _ = fmt.Fprintln(log, "conformance:", err)
		return exitUsage
	}
	switch {
	case o.list:
		list(out, pattern)
		return exitClean
	case o.compare != "":
		err = compare(out, o.compare)
	default:
		var r report
		if r, err = judge(ctx, o, choice, pattern, log); err == nil {
			err = r.print(out, o)
		}
		if err == nil {
			return r.exitCode()
		}
	}
	if err != nil {
		_, _ = fmt.Fprintln(log, "conformance:", err)
		return exitBroken
	}
	return exitClean
}

// check reads what the flag package can't.
func (o options) check(rest []string) (choice testbed.EngineChoice, pattern *regexp.Regexp, err error) {
	if len(rest) > 0 {
		return "", nil, fmt.Errorf("%q isn't a flag: the whole command goes into -updater, in quotes", rest[0])
	}
	switch o.engine {
	case "":
		choice = testbed.PrivateEngine
	case "oldest":
		choice = testbed.Debian
	case "newest":
		choice = testbed.Newest
	default:
		return "", nil, fmt.Errorf("-engine %q: use oldest or newest", o.engine)
	}
	if o.timeout <= 0 {
		return "", nil, fmt.Errorf("-timeout %s: it must be more than nothing", o.timeout)
	}
	if pattern, err = regexp.Compile(o.run); err != nil {
		return "", nil, fmt.Errorf("-run: %w", err)
	}
	if len(chosen(pattern)) == 0 {
		return "", nil, fmt.Errorf("-run %q matches no case; -list lists them", o.run)
	}
	return choice, pattern, nil
}

// print is the report in the form that was asked for.
func (r report) print(out io.Writer, o options) error {
	switch {
	case o.json:
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	case o.markdown:
		return r.markdown(out)
	default:
		return r.table(out)
	}
}
