package campaign_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/watch-docker/watch-docker/internal/store" // also registers the driver
)

// operation is a row of the store as it is on disk, with its journal.
type operation struct {
	ID, Kind, Target string
	State            store.OperationState
	Planned          bool // its plan is written down
	Error            *store.OperationError
	Steps            []step
}

type step struct {
	Name   string
	State  store.StepState
	Detail string
}

// position is where an operation is: the last step that is written down.
// "scan" is before there is an operation.
func (o *operation) position() string {
	switch {
	case o == nil:
		return "scan"
	case o.State.Finished():
		return "end"
	case len(o.Steps) == 0:
		return string(o.State)
	}
	return o.Steps[len(o.Steps)-1].Name
}

// moment is the position and how far it has come: "pull running".
func (o *operation) moment() string {
	if o == nil || o.State.Finished() || len(o.Steps) == 0 {
		return o.position()
	}
	return o.position() + " " + string(o.Steps[len(o.Steps)-1].State)
}

func (o *operation) String() string {
	if o == nil {
		return "no operation"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s: %s, planned %v", o.Kind, o.Target, o.State, o.Planned)
	if o.Error != nil {
		fmt.Fprintf(&b, ", %s: %s", o.Error.Code, o.Error.Message)
	}
	for _, s := range o.Steps {
		fmt.Fprintf(&b, "\n    %s %s %s", s.Name, s.State, s.Detail)
	}
	return b.String()
}

// journal reads the store of a program from outside, which may be running or
// dead. It never writes, so that what a kill leaves on disk stays as it is.
type journal struct {
	file string
	db   *sql.DB

	mu    sync.Mutex
	state []byte       // of the store when it was read last
	read  []*operation // what it held
}

func openJournal(folder string) (*journal, error) {
	file := filepath.Join(folder, store.FileName)
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro&_pragma=busy_timeout(2000)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return &journal{file: file, db: db}, nil
}

// operations are all there are, the oldest first; none before the program has
// made its store. Asking again is cheap as long as nothing has changed.
func (j *journal) operations(ctx context.Context) ([]*operation, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	state := j.header()
	if state != nil && bytes.Equal(state, j.state) {
		return j.read, nil
	}
	all, err := j.query(ctx)
	if err != nil {
		return nil, err
	}
	j.state, j.read = state, all
	return all, nil
}

// header is the beginning of the index that SQLite shares between the
// processes that have a store open. It changes with every commit.
func (j *journal) header() []byte {
	f, err := os.Open(j.file + "-shm")
	if err != nil {
		return nil
	}
	defer f.Close()
	header := make([]byte, 48)
	if _, err := f.ReadAt(header, 0); err != nil {
		return nil
	}
	return header
}

func (j *journal) query(ctx context.Context) ([]*operation, error) {
	if _, err := os.Stat(j.file); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	rows, err := j.db.QueryContext(ctx, `SELECT o.id, o.kind, o.target, o.state, o.plan IS NOT NULL, o.error, s.name, s.state, s.detail
		FROM operations o LEFT JOIN steps s ON s.operation = o.id ORDER BY o.id, s.n`)
	if err != nil {
		if strings.Contains(err.Error(), "no such table") || strings.Contains(err.Error(), "unable to open") {
			return nil, nil // the store is being made
		}
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	defer rows.Close()
	var all []*operation
	for rows.Next() {
		var o operation
		var failure, name, state, detail sql.NullString
		if err := rows.Scan(&o.ID, &o.Kind, &o.Target, &o.State, &o.Planned, &failure, &name, &state, &detail); err != nil {
			return nil, fmt.Errorf("read the journal: %w", err)
		}
		if len(all) == 0 || all[len(all)-1].ID != o.ID {
			if failure.Valid {
				if err := json.Unmarshal([]byte(failure.String), &o.Error); err != nil {
					return nil, fmt.Errorf("read the journal: %w", err)
				}
			}
			all = append(all, &o)
		}
		if name.Valid {
			last := all[len(all)-1]
			last.Steps = append(last.Steps, step{name.String, store.StepState(state.String), detail.String})
		}
	}
	return all, rows.Err()
}

// last is the newest operation, nil if there is none.
func (j *journal) last(ctx context.Context) (*operation, error) {
	all, err := j.operations(ctx)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[len(all)-1], nil
}

// until looks at the newest operation again and again, as fast as it can be
// read, until it is as wanted or stop is closed.
func (j *journal) until(ctx context.Context, stop <-chan struct{}, wanted func(*operation) bool) error {
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	for {
		o, err := j.last(ctx)
		if err != nil {
			return err
		}
		if wanted(o) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the journal doesn't get there: %w; it says: %s", ctx.Err(), o)
		case <-stop:
			return errEnded
		case <-tick.C:
		}
	}
}

// errEnded says that the program ended before what was waited for came.
var errEnded = errors.New("the program ended first")

func (j *journal) Close() error { return j.db.Close() }
