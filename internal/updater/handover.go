package updater

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/store"
)

// HandoverFolder is where the program and its helper meet, within the state folder.
const HandoverFolder = "self-update"

// What is in it. Each file is whole as soon as it is there.
const (
	fileRequest  = "request.json" // what is to be done
	fileReady    = "ready"        // the helper can do it
	fileGo       = "go"           // it is the helper's now
	fileOutcome  = "outcome.json" // how it went
	fileDatabase = "database"     // as it was before
)

// helperLabel marks a helper; its value is the operation.
const helperLabel = policy.Prefix + "helper"

func helperName(name string) string { return name + ".wd-helper" }

// Handover is what a helper is asked to do: one update.
type Handover struct {
	Request  Request
	Settings Settings
	Kept     []store.Kept // of this container
}

// outcome is how it went, by the helper's own record.
type outcome struct {
	Operation store.Operation
	NewID     string // of the container that runs then, if it is a new one
}

// ReadHandover reads what a helper is asked to do.
func ReadHandover(folder string) (h Handover, err error) {
	ok, err := readFile(filepath.Join(folder, fileRequest), &h)
	if err == nil && !ok {
		err = fmt.Errorf("there is nothing to take over in %s; this command is for the container that Watch Docker starts to replace itself", folder)
	}
	return h, err
}

// readFile reads JSON; ok is false if there is no such file.
func readFile(path string, into any) (ok bool, err error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	return true, nil
}

// writeFile writes JSON (0600), in one piece and to the disk.
func writeFile(path string, from any) (err error) {
	raw, err := json.Marshal(from)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
