package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/watch-docker/watch-docker/internal/audit"
	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/config"
	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/twofa"
)

// accountArgs is what is asked of the accounts, by one of the actions.
type accountArgs struct {
	Action   string `json:"action"`
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`
}

// accountResult is what was done.
type accountResult struct {
	Sessions  int    `json:"sessions"` // that were ended
	Tokens    int    `json:"tokens"`   // API tokens of the user that still count
	HadFactor bool   `json:"hadFactor"`
	Required  bool   `json:"required"` // every user must have a second factor
	Error     string `json:"error,omitempty"`
}

// accounts does to the accounts what the command line asks for.
type accounts struct {
	auth interface {
		Users(ctx context.Context) ([]auth.User, error)
		Tokens(ctx context.Context, user string) ([]auth.APIToken, error)
		SetPassword(ctx context.Context, name, password string) (sessions int, err error)
		EndSessions(ctx context.Context, user string) (sessions int, err error)
		RotateKey(ctx context.Context) (sessions int, err error)
		Required() bool
	}
	twofa interface {
		Reset(ctx context.Context, user string) error
	}
	audit *audit.Log
}

// do does it and records it.
func (a accounts) do(ctx context.Context, args accountArgs) (accountResult, error) {
	result, known, err := a.try(ctx, args)
	e := audit.Entry{Via: audit.ViaCommand, Action: args.Action, Result: audit.OK, Detail: fmt.Sprintf("sessions ended: %d", result.Sessions)}
	if known {
		e.Target = args.User // of anything else nobody knows what it is
	}
	switch {
	case errors.Is(err, store.ErrNoUser), errors.Is(err, auth.ErrPassword):
		e.Result, e.Detail = audit.Refused, "no such user"
		if known {
			e.Detail = "not a good password"
		}
	case err != nil:
		e.Result, e.Detail = audit.Failed, err.Error()
	}
	a.audit.Record(ctx, e)
	return result, err
}

func (a accounts) try(ctx context.Context, args accountArgs) (r accountResult, known bool, err error) {
	r.Required = a.auth.Required()
	if args.Action == actionRotateKey {
		r.Sessions, err = a.auth.RotateKey(ctx)
		return r, false, err
	}
	u, err := a.user(ctx, args.User)
	if err != nil {
		return r, false, err
	}
	r.HadFactor = u.HasFactor
	switch args.Action {
	case actionSetPassword:
		r.Sessions, err = a.auth.SetPassword(ctx, u.Name, args.Password)
	case actionResetTwoFA:
		if err = a.twofa.Reset(ctx, u.Name); err == nil {
			r.Sessions, err = a.auth.EndSessions(ctx, u.Name)
		}
	default:
		err = fmt.Errorf("the server doesn't know %q: it is another release", args.Action)
	}
	if err != nil {
		return r, true, err
	}
	tokens, err := a.auth.Tokens(ctx, u.Name)
	for _, t := range tokens {
		if t.ExpiresAt == nil || time.Now().Before(*t.ExpiresAt) {
			r.Tokens++
		}
	}
	return r, true, err
}

// user gives one by name, or says which there are.
//
// Errors: store.ErrNoUser.
func (a accounts) user(ctx context.Context, name string) (auth.User, error) {
	all, err := a.auth.Users(ctx)
	if err != nil {
		return auth.User{}, err
	}
	names := make([]string, 0, len(all))
	for _, u := range all {
		if u.Name == name {
			return u, nil
		}
		names = append(names, u.Name)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return auth.User{}, fmt.Errorf("%w: %s; there is none at all yet", store.ErrNoUser, name)
	}
	return auth.User{}, fmt.Errorf("%w: %s; there are: %s", store.ErrNoUser, name, strings.Join(names, ", "))
}

// accounts asks the server that owns the state folder, so that what is open
// ends at once, or owns the folder itself.
func (p Program) accounts(ctx context.Context, cfg *config.Config, args accountArgs) (accountResult, error) {
	result, ok, err := askAccount(ctx, cfg.StatePath, args)
	if ok || err != nil {
		return result, err
	}
	owner, err := store.Own(cfg.StatePath)
	if err != nil {
		return result, err
	}
	result, err = accountHere(ctx, cfg, args)
	return result, errors.Join(err, owner.Close())
}

func accountHere(ctx context.Context, cfg *config.Config, args accountArgs) (r accountResult, err error) {
	st, err := store.Open(ctx, cfg.StatePath)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	users, err := auth.New(ctx, auth.Dependencies{Store: st, StateFolder: cfg.StatePath, Required: func() bool { return cfg.TwoFA.Required }})
	if err != nil {
		return r, err
	}
	a := accounts{auth: users, twofa: twofa.New(twofa.Dependencies{Store: st}), audit: audit.New(audit.Dependencies{Store: st})}
	return a.do(ctx, args)
}

// serveAccount answers POST /account of the command socket.
func (s *Server) serveAccount(w http.ResponseWriter, r *http.Request) {
	var args accountArgs
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&args); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	result, err := accounts{auth: s.auth, twofa: s.twofa, audit: s.audit}.do(r.Context(), args)
	if err != nil {
		result.Error = err.Error()
		s.log.Warn("a command failed", logging.Action(args.Action), logging.Err(err))
	}
	_ = json.NewEncoder(w).Encode(result) // whoever asked may be gone
}

// askAccount sends it to the server that owns the folder. ok is false if none
// answers.
func askAccount(ctx context.Context, folder string, args accountArgs) (r accountResult, ok bool, err error) {
	client := socketClient(folder)
	defer client.CloseIdleConnections()
	body, err := json.Marshal(args) //nolint:gosec // the password is what this is about; the socket is its owner's alone
	if err != nil {
		return r, false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://watch-docker/account", bytes.NewReader(body))
	if err != nil {
		return r, false, err
	}
	res, err := client.Do(req)
	if err != nil {
		return r, false, ctx.Err() // nobody listens: the caller does it itself
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // as much of it as there is
		return r, true, fmt.Errorf("the server answers %s: %s", res.Status, bytes.TrimSpace(text))
	}
	if err := json.NewDecoder(res.Body).Decode(&r); err != nil {
		return r, true, fmt.Errorf("the server's answer: %w", err)
	}
	if r.Error != "" {
		return r, true, errors.New(r.Error)
	}
	return r, true, nil
}
