package auth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// KeyFile is the name, within the state folder, of the key that signs tokens.
const KeyFile = "signing.key"

const keySize = 32 // bytes; HS256 wants as many as its hash has (RFC 7518, 3.2)

// ErrKey says that the signing key can't be used; the message says what to do.
var ErrKey = errors.New("signing key")

// signingKey reads the key, or makes one if there is none.
func signingKey(folder string) ([]byte, error) {
	file := filepath.Join(folder, KeyFile)
	key, err := readKey(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := makeKey(folder, file); err != nil {
		return nil, fmt.Errorf("%w: make %s: %w", ErrKey, file, err)
	}
	return readKey(file)
}

func readKey(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	// Windows shows no permissions of others here.
	if open := info.Mode().Perm() & 0o077; open != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%w: others may read %s (%#o), and who has it can sign in as anybody; do chmod 600, or remove it to have a new one made, which signs everybody out",
			ErrKey, file, info.Mode().Perm())
	}
	key, err := io.ReadAll(io.LimitReader(f, keySize+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("%w: %s must have %d bytes and has %d; put the right one back, or remove it to have a new one made, which signs everybody out",
			ErrKey, file, keySize, info.Size())
	}
	return key, nil
}

// replaceKey makes a new key in place of the one that is there.
func replaceKey(folder string) ([]byte, error) {
	file := filepath.Join(folder, KeyFile)
	name, err := writeKey(folder)
	if err == nil {
		defer os.Remove(name) //nolint:errcheck // gone after a rename
		err = os.Rename(name, file)
	}
	if err = errors.Join(err, syncFolder(folder)); err != nil {
		return nil, fmt.Errorf("%w: replace %s: %w", ErrKey, file, err)
	}
	return readKey(file)
}

// makeKey puts a whole key in place at once: a crash leaves none or all of it,
// and a key that somebody else has put there meanwhile stays.
func makeKey(folder, file string) error {
	name, err := writeKey(folder)
	if err != nil {
		return err
	}
	defer os.Remove(name) //nolint:errcheck // gone after a rename
	err = os.Link(name, file)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return syncFolder(folder)
	}
	// No hard links on this file system; the state folder has one owner anyway.
	if err := os.Rename(name, file); err != nil {
		return err
	}
	return syncFolder(folder)
}

// writeKey writes a new key into a file of its own.
func writeKey(folder string) (name string, err error) {
	var key [keySize]byte
	_, _ = rand.Read(key[:])                          // never fails (crypto/rand)
	f, err := os.CreateTemp(folder, "."+KeyFile+"-*") // 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(key[:])
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// syncFolder makes the file's name as lasting as its content. Windows and some
// network file systems can't, and need it less.
func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	_ = f.Sync()
	return f.Close()
}
