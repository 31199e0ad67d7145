// Watch-docker keeps the containers of a Docker host up to date. This file
// only hands over to internal/app; "watch-docker -h" says what there is.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/watch-docker/watch-docker/internal/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := app.Program{Args: os.Args[1:], Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}.Run(ctx)
	stop()
	os.Exit(code)
}
