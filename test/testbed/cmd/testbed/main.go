// Command testbed brings up a Docker engine and registries to try Watch
// Docker on, and takes them down again.
//
//	testbed install [-newest]       install what it needs with apt-get, Chromium too, build Compose
//	testbed watchtower              build Watchtower 1.7.1 to compare with, and print its path
//	testbed compose                 build Docker Compose, and print its path
//	testbed up [flags]              bring up, stay until Ctrl-C, take down
//	testbed up -d [flags]           bring up and go to the background
//	testbed down [-all] [ID…]       take down what `up -d` brought up
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/watch-docker/watch-docker/test/testbed"
)

const usage = `usage: testbed install [-newest]
       testbed watchtower
       testbed compose
       testbed up [-d] [-engine ENGINE] [-registries LIST] [-env FILE]
       testbed down [-all] [-env FILE] [ID…]

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "testbed:", err)
		os.Exit(1)
	}
}

// run says no more about a bad command line than flag.ErrHelp: the flag
// package has told the user.
func run(ctx context.Context, args []string, out, log io.Writer) error {
	if len(args) == 0 {
		_, _ = io.WriteString(log, usage)
		return flag.ErrHelp
	}
	switch command, rest := args[0], args[1:]; command {
	case "install":
		return install(ctx, rest, log)
	case "watchtower":
		return printed(out)(testbed.Watchtower(ctx, log))
	case "compose":
		return printed(out)(testbed.ComposeBinary(ctx, log))
	case "up":
		return up(ctx, rest, out, log)
	case "down":
		return down(ctx, rest, out, log)
	default:
		_, _ = io.WriteString(log, usage)
		return fmt.Errorf("unknown command %q", command)
	}
}

// printed writes the path of something that is there now.
func printed(out io.Writer) func(path string, err error) error {
	return func(path string, err error) error {
		if err == nil {
			_, err = fmt.Fprintln(out, path)
		}
		return err
	}
}

func install(ctx context.Context, args []string, log io.Writer) error {
	flags := flags("install", log)
	wanted := os.Getenv(testbed.EngineEnv) == string(testbed.Newest)
	newest := flags.Bool("newest", wanted, "build the newest Moby engine as well (minutes); the default if "+testbed.EngineEnv+"=newest")
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	if *newest {
		if err := testbed.InstallNewest(ctx, log); err != nil {
			return err
		}
	}
	if err := testbed.InstallBrowser(ctx, log); err != nil {
		return err
	}
	return testbed.InstallCompose(ctx, log)
}

func flags(name string, log io.Writer) *flag.FlagSet {
	set := flag.NewFlagSet("testbed "+name, flag.ContinueOnError)
	set.SetOutput(log)
	return set
}
