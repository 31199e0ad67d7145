package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrNoOperation says that there is no operation with this id.
var ErrNoOperation = errors.New("no such operation")

// OperationState is how far an operation is.
type OperationState string

// The states of an operation. Queued and running ones are unfinished.
const (
	Queued     OperationState = "queued"
	Running    OperationState = "running"
	Succeeded  OperationState = "succeeded"
	Failed     OperationState = "failed" // nothing was changed
	RolledBack OperationState = "rolledBack"
	Cancelled  OperationState = "cancelled"
)

// Finished reports whether the operation has come to its end.
func (s OperationState) Finished() bool { return s != Queued && s != Running }

// StepState is how far a step is.
type StepState string

// The states of a step.
const (
	StepRunning StepState = "running"
	StepDone    StepState = "done"
	StepFailed  StepState = "failed"
)

// Operation is a piece of work that takes longer than a moment. Its JSON is
// part of the HTTP contract.
type Operation struct {
	ID         string          `json:"id"`
	Kind       string          `json:"kind"`   // update, rollback, scan, …
	Target     string          `json:"target"` // the container's name
	State      OperationState  `json:"state"`
	CreatedAt  time.Time       `json:"createdAt"`
	StartedAt  *time.Time      `json:"startedAt"`
	FinishedAt *time.Time      `json:"finishedAt"`
	Actor      string          `json:"actor"` // a user, "schedule", "command line"
	Steps      []Step          `json:"steps"`
	Progress   *Progress       `json:"progress"` // of what runs now; never stored
	FromDigest string          `json:"fromDigest"`
	ToDigest   string          `json:"toDigest"`
	FromImage  string          `json:"fromImage"`
	ToImage    string          `json:"toImage"`
	DowntimeMs int64           `json:"downtimeMs"`
	Error      *OperationError `json:"error"`
	Output     []string        `json:"output,omitempty"` // the last lines that its command wrote
	Result     json.RawMessage `json:"result,omitempty"` // what came of it, in a shape of its kind's own
	Plan       json.RawMessage `json:"-"`                // what recovery needs to know
}

// Step is one entry of an operation's journal.
type Step struct {
	Name       string     `json:"name"`
	State      StepState  `json:"state"`
	StartedAt  time.Time  `json:"startedAt"`
	FinishedAt *time.Time `json:"finishedAt"`
	Detail     string     `json:"detail"`
}

// Progress is how far something is, in Unit ("bytes", "references").
type Progress struct {
	Current int64  `json:"current"`
	Total   int64  `json:"total"`
	Unit    string `json:"unit"`
	Text    string `json:"text"`
	// What follows is of pulls alone.
	Rate        int64   `json:"rate,omitempty"`        // units a second, of late
	SecondsLeft *int64  `json:"secondsLeft,omitempty"` // of the download, at that rate
	Layers      []Layer `json:"layers,omitempty"`
}

// Layer is how far one layer of an image is.
type Layer struct {
	ID      string `json:"id"`    // the beginning of its digest
	State   string `json:"state"` // waiting, downloading, downloaded, extracting, done, exists
	Current int64  `json:"current"`
	Total   int64  `json:"total"` // 0: not known
}

// OperationError is why an operation failed: a stable code, a sentence, and
// the last lines of the failing container's log.
type OperationError struct {
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Logs    []string `json:"logs"`
}

// NewID makes an id that sorts by time: 11 hexadecimal digits of
// milliseconds and 10 that are random.
func NewID(now time.Time) string {
	var random [5]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	return fmt.Sprintf("%011x%s", now.UnixMilli(), hex.EncodeToString(random[:]))
}

// SaveOperation puts the operation's row in, or in place of the one with its
// id. Its steps are saved by SaveStep.
func (s *Store) SaveOperation(ctx context.Context, o Operation) error {
	var failure, output any
	for _, part := range []struct {
		column *any
		there  bool
		value  any
	}{{&failure, o.Error != nil, o.Error}, {&output, len(o.Output) > 0, o.Output}} {
		if !part.there {
			continue
		}
		raw, err := json.Marshal(part.value)
		if err != nil {
			return fmt.Errorf("save operation %s: %w", o.ID, err)
		}
		*part.column = string(raw)
	}
	return s.exec(ctx, "save operation "+o.ID, `INSERT INTO operations
		(id, kind, target, state, actor, created_at, started_at, finished_at, from_image, to_image, from_digest, to_digest, downtime_ms, error, plan,
		output, result)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, started_at = excluded.started_at, finished_at = excluded.finished_at,
		from_image = excluded.from_image, to_image = excluded.to_image, from_digest = excluded.from_digest, to_digest = excluded.to_digest,
		downtime_ms = excluded.downtime_ms, error = excluded.error, plan = excluded.plan, output = excluded.output, result = excluded.result`,
		o.ID, o.Kind, o.Target, o.State, o.Actor, stamp(o.CreatedAt), stampOrNull(o.StartedAt), stampOrNull(o.FinishedAt),
		o.FromImage, o.ToImage, o.FromDigest, o.ToDigest, o.DowntimeMs, failure, rawOrNull(o.Plan), output, rawOrNull(o.Result))
}

// SaveStep writes the n-th step of an operation, or over it.
func (s *Store) SaveStep(ctx context.Context, operation string, n int, step Step) error {
	return s.exec(ctx, "save step "+step.Name+" of operation "+operation, `INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET state = excluded.state, finished_at = excluded.finished_at, detail = excluded.detail`,
		operation, n, step.Name, step.State, stamp(step.StartedAt), stampOrNull(step.FinishedAt), step.Detail)
}

// Operation gives one operation with its steps.
//
// Errors: ErrNoOperation.
func (s *Store) Operation(ctx context.Context, id string) (Operation, error) {
	all, err := s.operations(ctx, `WHERE id = ?`, id)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%w: %s", ErrNoOperation, id)
	}
	if err != nil {
		return Operation{}, err
	}
	return all[0], nil
}

// Unfinished gives the operations that were under way when their owner ended,
// oldest first.
func (s *Store) Unfinished(ctx context.Context) ([]Operation, error) {
	return s.operations(ctx, `WHERE state IN ('queued', 'running') ORDER BY id`)
}

// OperationFilter narrows Operations; zero fields don't.
type OperationFilter struct {
	Target string
	Kind   string
	Before string // an id: only older ones
	Limit  int    // at most so many; 0 is 50
}

// Operations gives the newest operations first, with their steps.
func (s *Store) Operations(ctx context.Context, f OperationFilter) ([]Operation, error) {
	return s.operations(ctx, `WHERE (? = '' OR target = ?) AND (? = '' OR kind = ?) AND (? = '' OR id < ?) ORDER BY id DESC LIMIT ?`,
		f.Target, f.Target, f.Kind, f.Kind, f.Before, f.Before, cmp.Or(f.Limit, 50))
}

// PruneOperations removes finished operations beyond the newest keep ones.
func (s *Store) PruneOperations(ctx context.Context, keep int) error {
	return s.exec(ctx, "prune operations", `DELETE FROM operations WHERE state NOT IN ('queued', 'running')
		AND id NOT IN (SELECT id FROM operations ORDER BY id DESC LIMIT ?)`, keep)
}

func (s *Store) operations(ctx context.Context, where string, args ...any) ([]Operation, error) {
	all := []Operation{}
	err := s.each(ctx, "read operations", func(rows *sql.Rows) error {
		o, err := scanOperation(rows)
		all = append(all, o)
		return err
	}, `SELECT id, kind, target, state, actor, created_at, started_at, finished_at, from_image, to_image,
		from_digest, to_digest, downtime_ms, error, plan, output, result FROM operations `+where, args...)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Steps, err = s.steps(ctx, all[i].ID); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (s *Store) steps(ctx context.Context, operation string) ([]Step, error) {
	steps := []Step{}
	err := s.each(ctx, "read steps", func(rows *sql.Rows) error {
		var step Step
		var started string
		var finished sql.NullString
		if err := rows.Scan(&step.Name, &step.State, &started, &finished, &step.Detail); err != nil {
			return err
		}
		at, err := parseStamp(sql.NullString{String: started, Valid: true})
		if err != nil {
			return err
		}
		step.StartedAt = *at
		step.FinishedAt, err = parseStamp(finished)
		steps = append(steps, step)
		return err
	}, `SELECT name, state, started_at, finished_at, detail FROM steps WHERE operation = ? ORDER BY n`, operation)
	return steps, err
}

func scanOperation(rows *sql.Rows) (Operation, error) {
	var o Operation
	var created string
	var started, finished, failure, plan, output, result sql.NullString
	err := rows.Scan(&o.ID, &o.Kind, &o.Target, &o.State, &o.Actor, &created, &started, &finished, &o.FromImage, &o.ToImage,
		&o.FromDigest, &o.ToDigest, &o.DowntimeMs, &failure, &plan, &output, &result)
	if err != nil {
		return o, err
	}
	at, err := parseStamp(sql.NullString{String: created, Valid: true})
	if err != nil {
		return o, err
	}
	o.CreatedAt = *at
	if o.StartedAt, err = parseStamp(started); err != nil {
		return o, err
	}
	if o.FinishedAt, err = parseStamp(finished); err != nil {
		return o, err
	}
	o.Plan, o.Result = rawOf(plan), rawOf(result)
	for _, part := range []struct {
		column sql.NullString
		value  any
	}{{failure, &o.Error}, {output, &o.Output}} {
		if !part.column.Valid {
			continue
		}
		if err := json.Unmarshal([]byte(part.column.String), part.value); err != nil {
			return o, err
		}
	}
	return o, nil
}

func rawOf(s sql.NullString) json.RawMessage {
	if !s.Valid {
		return nil
	}
	return json.RawMessage(s.String)
}

func rawOrNull(raw json.RawMessage) any {
	if len(raw) == 0 {
		return nil
	}
	return string(raw)
}

// each runs a query and calls row for each of its rows.
func (s *Store) each(ctx context.Context, doing string, row func(*sql.Rows) error, query string, args ...any) error {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	for rows.Next() {
		if err := row(rows); err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

func stampOrNull(t *time.Time) any {
	if t == nil {
		return nil
	}
	return stamp(*t)
}

func parseStamp(s sql.NullString) (*time.Time, error) {
	if !s.Valid {
		return nil, nil //nolint:nilnil // NULL is no time
	}
	t, err := time.Parse(time.RFC3339Nano, s.String)
	return &t, err
}
