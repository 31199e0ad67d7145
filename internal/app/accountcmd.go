package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// longestLine is how much of standard input is read for a password.
const longestLine = 4096

// runSetPassword gives a user a new password.
func runSetPassword(ctx context.Context, p Program, args []string) int {
	return p.account(ctx, "set-password", args, actionSetPassword, func(user string, r accountResult) string {
		return fmt.Sprintf("%s has a new password. %s.%s", user, sessionsEnded(r.Sessions), tokensCount(user, r.Tokens))
	})
}

// runResetTwoFA takes all second factors from a user.
func runResetTwoFA(ctx context.Context, p Program, args []string) int {
	return p.account(ctx, "reset-2fa", args, actionResetTwoFA, func(user string, r accountResult) string {
		what := user + " had no second factor."
		if r.HadFactor {
			what = user + " has no second factor any more."
		}
		if r.Required {
			what += " The next sign-in begins with setting one up."
		}
		return fmt.Sprintf("%s %s.%s", what, sessionsEnded(r.Sessions), tokensCount(user, r.Tokens))
	})
}

// runRotateKey makes a new key for signing tokens.
func runRotateKey(ctx context.Context, p Program, args []string) int {
	return p.account(ctx, "rotate-key", args, actionRotateKey, func(_ string, r accountResult) string {
		return fmt.Sprintf("The signing key is a new one. %s; everybody has to sign in again. API tokens still count.", sessionsEnded(r.Sessions))
	})
}

func sessionsEnded(n int) string {
	if n == 1 {
		return "1 session was ended"
	}
	return fmt.Sprintf("%d sessions were ended", n)
}

func tokensCount(user string, n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return " 1 API token of " + user + " still counts."
	}
	return fmt.Sprintf(" %d API tokens of %s still count.", n, user)
}

// account reads the command's arguments and does it.
func (p Program) account(ctx context.Context, command string, args []string, action string, say func(string, accountResult) string) int {
	set, file := p.flags(command)
	names, code, ok := p.parseNames(set, args)
	if !ok {
		return code
	}
	a := accountArgs{Action: action}
	switch {
	case action == actionRotateKey && len(names) > 0:
		p.complain("%s takes no user: it is for everybody", command)
		return ExitUsage
	case action != actionRotateKey && len(names) != 1:
		p.complain("%s takes the name of one user", command)
		return ExitUsage
	case len(names) == 1:
		a.User = names[0]
	}
	cfg, ok := p.configured(*file)
	if !ok {
		return ExitUsage
	}
	if action == actionSetPassword {
		var err error
		if a.Password, err = p.newPassword(ctx, a.User); err != nil {
			return p.failed(ctx, err)
		}
	}
	result, err := p.accounts(ctx, cfg, a)
	if err != nil {
		return p.failed(ctx, err)
	}
	if _, err := fmt.Fprintln(p.Stdout, say(a.User, result)); err != nil {
		return ExitFailed
	}
	return ExitOK
}

// newPassword reads it twice from a terminal, without showing it, or else as
// one line from standard input.
func (p Program) newPassword(ctx context.Context, user string) (string, error) {
	if f, ok := p.Stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return p.askPassword(ctx, f, user)
	}
	if p.Stdin == nil {
		return "", errors.New("there is no standard input to read the password from")
	}
	line, err := bufio.NewReader(io.LimitReader(p.Stdin, longestLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"); line == "" {
		return "", errors.New("standard input holds no password: write it there as one line")
	}
	return line, nil
}

func (p Program) askPassword(ctx context.Context, terminal *os.File, user string) (string, error) {
	var given [2]string
	for i, prompt := range []string{"New password of " + user + ": ", "Once more: "} {
		_, _ = fmt.Fprint(p.Stderr, prompt)
		line, err := readHidden(ctx, int(terminal.Fd()))
		_, _ = fmt.Fprintln(p.Stderr)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		given[i] = line
	}
	if given[0] != given[1] {
		return "", errors.New("the two are not the same; nothing was changed")
	}
	return given[0], nil
}

// readHidden reads a line that isn't shown. At an interrupt the terminal is as
// it was before, and the reader ends with the program.
func readHidden(ctx context.Context, fd int) (string, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	type read struct {
		line []byte
		err  error
	}
	ended := make(chan read, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		ended <- read{line, err}
	}()
	select {
	case r := <-ended:
		return string(r.line), r.err
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(fd, before))
	}
}
