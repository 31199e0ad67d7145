package app

import (
	"context"
	"fmt"
	"text/tabwriter"
)

// runConfigCheck prints every key with its value and where that comes from,
// or everything that is wrong.
func runConfigCheck(_ context.Context, p Program, args []string) int {
	set, file := p.flags("config check")
	if code, ok := p.parse(set, args); !ok {
		return code
	}
	cfg, ok := p.configured(*file)
	if !ok {
		return ExitUsage
	}
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "KEY\tVALUE\tFROM") // Flush tells of errors
	for _, e := range cfg.Effective() {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", e.Key, e.Value, e.Source)
	}
	if err := w.Flush(); err != nil {
		return ExitFailed
	}
	if cfg.File() == "" {
		_, _ = fmt.Fprintln(p.Stdout, "\nThe configuration is right. No file was found; it is defaults and environment.")
	} else {
		_, _ = fmt.Fprintf(p.Stdout, "\nThe configuration is right. File: %s\n", cfg.File())
	}
	return ExitOK
}
