//go:build !linux

package shell

// Host is for Linux alone.
func Host(HostOptions) (Terminal, error) {
	return nil, &Error{Code: CodeNoShell, Message: "A shell where Watch Docker runs is there on Linux alone."}
}
