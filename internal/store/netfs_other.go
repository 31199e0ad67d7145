//go:build !linux

package store

// onNetworkFileSystem can't tell here, and believes in a local disk.
func onNetworkFileSystem(string) bool { return false }
