// Package app wires the parts together: it reads the command line and the
// configuration, builds what a command needs, runs it and takes it down again.
package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/watch-docker/watch-docker/internal/config"
)

// Exit codes of the program.
const (
	ExitOK       = 0
	ExitFailed   = 1
	ExitUsage    = 2 // wrong usage or configuration
	ExitOutdated = 3 // scan -exit-code found something to update
)

// Program is the program with what the operating system hands it.
type Program struct {
	Args           []string // without the program's own name
	Environ        []string // "NAME=value"
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// command is one word of the command line; run gives the exit code.
type command struct {
	name  string
	about string
	run   func(context.Context, Program, []string) int
}

func commands() []command {
	return []command{
		{"serve", "watch the engine and serve HTTP; what happens without a command", runServe},
		{"scan", "one scan, as a table: -json, -exit-code", runScan},
		{"update", "update containers: -all or NAME…, -json, -dry-run, -force", runUpdate},
		{"rollback", "give a container the image back that it ran before: NAME, -json", runRollback},
		{"takeover", "what the container does that replaces Watch Docker's own; not for people", runTakeover},
		{"set-password", "give a user a new password, typed or from standard input: USER", runSetPassword},
		{"reset-2fa", "take all second factors from a user who has lost them: USER", runResetTwoFA},
		{"rotate-key", "make a new key for signing tokens, and end all sessions", runRotateKey},
		{"healthcheck", "ask the server on this machine whether it lives", runHealthcheck},
		{"config check", "check the configuration and show each value with its source", runConfigCheck},
		{"version", "print the version", runVersion},
	}
}

// Run does what the arguments say and returns the exit code. It ends early
// when ctx does.
func (p Program) Run(ctx context.Context) int {
	args := p.Args
	if len(args) > 0 && strings.TrimLeft(args[0], "-") == "version" {
		args = append([]string{"version"}, args[1:]...)
	}
	if len(args) == 0 || (strings.HasPrefix(args[0], "-") && !isHelp(args[0])) {
		args = append([]string{"serve"}, args...)
	}
	if isHelp(args[0]) || args[0] == "help" {
		p.usage(p.Stdout)
		return ExitOK
	}
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == c.name {
			return c.run(ctx, p, args[len(words):])
		}
	}
	p.complain("unknown command %q%s", strings.Join(args, " "), hint(args[0]))
	p.usage(p.Stderr)
	return ExitUsage
}

// hint names the command that begins with the same word.
func hint(word string) string {
	for _, c := range commands() {
		if strings.HasPrefix(c.name, word+" ") {
			return "; is " + c.name + " meant?"
		}
	}
	return ""
}

func isHelp(arg string) bool { return arg == "-h" || arg == "-help" || arg == "--help" }

func (p Program) usage(w io.Writer) {
	var b strings.Builder
	b.WriteString("Watch Docker keeps the containers of a Docker host up to date.\n\nusage: watch-docker [command] [-config FILE]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-14s %s\n", c.name, c.about)
	}
	b.WriteString("\nAfter a command, -h lists its flags. Settings and labels are in the README.\n")
	_, _ = io.WriteString(w, b.String())
}

// complain writes one line to standard error.
func (p Program) complain(format string, args ...any) {
	_, _ = fmt.Fprintf(p.Stderr, "watch-docker: "+format+"\n", args...)
}

// flags prepares the flags of a command; every command but version takes -config.
func (p Program) flags(name string) (set *flag.FlagSet, file *string) {
	set = flag.NewFlagSet("watch-docker "+name, flag.ContinueOnError)
	set.SetOutput(p.Stderr)
	return set, set.String("config", "", "read the configuration from this `FILE`")
}

// parse reads a command's arguments, which are flags alone. ok is false if
// the command ends here, with the code.
func (p Program) parse(set *flag.FlagSet, args []string) (code int, ok bool) {
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return ExitOK, false
	case err != nil:
		return ExitUsage, false
	case set.NArg() > 0:
		p.complain("unexpected argument %q", set.Arg(0))
		return ExitUsage, false
	}
	return ExitOK, true
}

// failed says why a command failed, and gives the exit code.
func (p Program) failed(ctx context.Context, err error) int {
	if ctx.Err() != nil {
		p.complain("interrupted")
	} else {
		p.complain("%v", err)
	}
	return ExitFailed
}

// configured reads the configuration, or says what is wrong with it.
func (p Program) configured(file string) (*config.Config, bool) {
	cfg, err := config.Load(config.Options{File: file, Environ: p.Environ})
	if err != nil {
		p.complain("%v", err)
		return nil, false
	}
	return cfg, true
}

// getenv looks a variable up in the program's environment.
func (p Program) getenv(name string) string {
	for i := len(p.Environ) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(p.Environ[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// terminal reports whether w is a terminal, and how wide it is.
func terminal(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	return width, err == nil && width > 0
}
