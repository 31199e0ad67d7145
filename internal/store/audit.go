package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// AuditEntry says who did what, and how it went.
type AuditEntry struct {
	ID      int64 // grows with each; 0 before it is stored
	At      time.Time
	User    string // "" for nobody known
	Address string
	Via     string
	Action  string
	Target  string
	Result  string
	Detail  string
}

// AuditFilter narrows Audit; zero fields don't.
type AuditFilter struct {
	User   string
	Action string
	Result string
	Since  time.Time // not before
	Until  time.Time // before
	Before int64     // an id: only older ones
	Limit  int       // at most so many; 0 is 50
}

// AddAudit puts an entry in and gives its id.
func (s *Store) AddAudit(ctx context.Context, e AuditEntry) (id int64, err error) {
	res, err := s.db.ExecContext(ctx, `INSERT INTO audit (at, user, address, via, action, target, result, detail)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, stamp(e.At), e.User, e.Address, e.Via, e.Action, e.Target, e.Result, e.Detail)
	if err != nil {
		return 0, fmt.Errorf("add to the audit log: %w", err)
	}
	return res.LastInsertId()
}

// Audit gives the newest entries first.
func (s *Store) Audit(ctx context.Context, f AuditFilter) ([]AuditEntry, error) {
	where, args := f.where()
	all := []AuditEntry{}
	err := s.each(ctx, "read the audit log", func(rows *sql.Rows) error {
		var e AuditEntry
		var at string
		err := rows.Scan(&e.ID, &at, &e.User, &e.Address, &e.Via, &e.Action, &e.Target, &e.Result, &e.Detail)
		if err != nil {
			return err
		}
		e.At, err = time.Parse(time.RFC3339Nano, at)
		all = append(all, e)
		return err
	}, `SELECT id, at, user, address, via, action, target, result, detail FROM audit `+where+` ORDER BY id DESC LIMIT ?`,
		append(args, cmp.Or(f.Limit, 50))...)
	return all, err
}

// where names only what is asked for, so that an index serves it.
func (f AuditFilter) where() (where string, args []any) {
	var conditions []string
	add := func(asked bool, condition string, value any) {
		if asked {
			conditions, args = append(conditions, condition), append(args, value)
		}
	}
	add(f.User != "", "user = ?", f.User)
	add(f.Action != "", "action = ?", f.Action)
	add(f.Result != "", "result = ?", f.Result)
	add(!f.Since.IsZero(), "at >= ?", stamp(f.Since))
	add(!f.Until.IsZero(), "at < ?", stamp(f.Until))
	add(f.Before != 0, "id < ?", f.Before)
	if len(conditions) == 0 {
		return "", nil
	}
	return "WHERE " + strings.Join(conditions, " AND "), args
}

// PruneAudit removes what is older than a time, and says how much that was.
func (s *Store) PruneAudit(ctx context.Context, before time.Time) (removed int64, err error) {
	res, err := s.db.ExecContext(ctx, `DELETE FROM audit WHERE at < ?`, stamp(before))
	if err != nil {
		return 0, fmt.Errorf("prune the audit log: %w", err)
	}
	return res.RowsAffected()
}
