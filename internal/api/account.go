package api

import (
	"context"
	"errors"
	"time"

	"github.com/watch-docker/watch-docker/internal/auth"
)

// UserSession is one sign-in of a user.
type UserSession struct {
	ID         string    `json:"id"`
	Device     string    `json:"device" doc:"What the client called itself"`
	Address    string    `json:"address"`
	CreatedAt  time.Time `json:"createdAt"`
	LastUsedAt time.Time `json:"lastUsedAt" doc:"To five minutes"`
	ExpiresAt  time.Time `json:"expiresAt"`
	Current    bool      `json:"current" doc:"The one that asks"`
}

type listSessionsOut struct {
	Body struct {
		Sessions []UserSession `json:"sessions"`
	} `nameHint:"SessionList"`
}

func (s *server) listSessions(ctx context.Context, _ *none) (*listSessionsOut, error) {
	who, out := callerOf(ctx), &listSessionsOut{}
	all, err := s.Auth.Sessions(ctx, who.Username)
	out.Body.Sessions = []UserSession{}
	for _, x := range all {
		out.Body.Sessions = append(out.Body.Sessions, UserSession{
			ID: x.ID, Device: x.Device, Address: x.Address, CreatedAt: x.CreatedAt, LastUsedAt: x.LastUsedAt, ExpiresAt: x.ExpiresAt,
			Current: x.ID == who.SessionID,
		})
	}
	return out, err
}

type idIn struct {
	ID string `path:"id" minLength:"1" maxLength:"64"`
}

func (s *server) endSession(ctx context.Context, in *idIn) (*none, error) {
	return nil, s.Auth.EndSession(ctx, callerOf(ctx).Username, in.ID)
}

func (s *server) endOtherSessions(ctx context.Context, _ *none) (*none, error) {
	who := callerOf(ctx)
	all, err := s.Auth.Sessions(ctx, who.Username)
	for _, x := range all {
		if x.ID != who.SessionID {
			err = errors.Join(err, s.Auth.EndSession(ctx, who.Username, x.ID))
		}
	}
	return nil, err
}

// APIToken is a program's way in.
type APIToken struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Scope      string     `json:"scope" enum:"read,operate,admin"`
	CreatedAt  time.Time  `json:"createdAt"`
	LastUsedAt *time.Time `json:"lastUsedAt" doc:"To five minutes"`
	ExpiresAt  *time.Time `json:"expiresAt" doc:"null: never"`
	Token      string     `json:"token,omitempty" doc:"The token itself: shown once"`
}

func apiToken(t auth.APIToken) APIToken {
	return APIToken{ID: t.ID, Name: t.Name, Scope: t.Scope, CreatedAt: t.CreatedAt, LastUsedAt: t.LastUsedAt, ExpiresAt: t.ExpiresAt}
}

type listTokensOut struct {
	Body struct {
		Tokens []APIToken `json:"tokens"`
	} `nameHint:"APITokenList"`
}

func (s *server) listTokens(ctx context.Context, _ *none) (*listTokensOut, error) {
	all, err := s.Auth.Tokens(ctx, callerOf(ctx).Username)
	out := &listTokensOut{}
	out.Body.Tokens = []APIToken{}
	for _, t := range all {
		out.Body.Tokens = append(out.Body.Tokens, apiToken(t))
	}
	return out, err
}

type makeTokenIn struct {
	Body struct {
		Name      string     `json:"name" minLength:"1" maxLength:"64" doc:"What it is for"`
		Scope     string     `json:"scope" enum:"read,operate,admin" doc:"At most what the own role may do"`
		ExpiresAt *time.Time `json:"expiresAt,omitempty" doc:"null: never"`
	} `nameHint:"APITokenRequest"`
}

type makeTokenOut struct{ Body APIToken }

// longestLife is how many years a token may have.
const longestLife = 100

func (s *server) makeToken(ctx context.Context, in *makeTokenIn) (*makeTokenOut, error) {
	if in.Body.Name != printable(in.Body.Name) {
		return nil, invalid("body.name", "has characters that can't be shown")
	}
	switch expires := in.Body.ExpiresAt; {
	case expires == nil:
	case !expires.After(time.Now()):
		return nil, invalid("body.expiresAt", "is in the past")
	case expires.After(time.Now().AddDate(longestLife, 0, 0)): // year 10000 can't be read again (RFC 3339, 1)
		return nil, invalid("body.expiresAt", "is too far away; leave it out for a token that doesn't expire")
	}
	trailOf(ctx).about(in.Body.Name)
	trailOf(ctx).note(true, "scope "+in.Body.Scope)
	made, token, err := s.Auth.MakeToken(ctx, callerOf(ctx).Identity, in.Body.Name, auth.Scope(in.Body.Scope), in.Body.ExpiresAt)
	if err != nil {
		return nil, err
	}
	out := &makeTokenOut{Body: apiToken(made)}
	out.Body.Token = token
	return out, nil
}

func (s *server) removeToken(ctx context.Context, in *idIn) (*none, error) {
	return nil, s.Auth.RemoveToken(ctx, callerOf(ctx).Username, in.ID)
}

// User is somebody who may sign in.
type User struct {
	Name      string    `json:"name"`
	Role      string    `json:"role" enum:"viewer,operator,admin"`
	HasFactor bool      `json:"hasFactor" doc:"A second factor of any kind"`
	CreatedAt time.Time `json:"createdAt"`
	ChangedAt time.Time `json:"changedAt" doc:"The password or the role"`
}

type listUsersOut struct {
	Body struct {
		Users []User `json:"users"`
	} `nameHint:"UserList"`
}

func (s *server) listUsers(ctx context.Context, _ *none) (*listUsersOut, error) {
	all, err := s.Auth.Users(ctx)
	out := &listUsersOut{}
	out.Body.Users = []User{}
	for _, u := range all {
		out.Body.Users = append(out.Body.Users, userOf(u))
	}
	return out, err
}

func userOf(u auth.User) User {
	return User{Name: u.Name, Role: u.Role, HasFactor: u.HasFactor, CreatedAt: u.CreatedAt, ChangedAt: u.ChangedAt}
}

type addUserIn struct {
	Body struct {
		Username string `json:"username" minLength:"1" maxLength:"64"`
		Password string `json:"password" minLength:"8" maxLength:"256"`
		Role     string `json:"role" enum:"viewer,operator,admin"`
	} `nameHint:"NewUser"`
}

type userOut struct{ Body User }

func (s *server) addUser(ctx context.Context, in *addUserIn) (*userOut, error) {
	u, err := s.Auth.AddUser(ctx, in.Body.Username, in.Body.Password, auth.Role(in.Body.Role))
	if err != nil {
		return nil, err
	}
	trailOf(ctx).about(u.Name)
	trailOf(ctx).note(true, "role "+u.Role)
	return &userOut{Body: userOf(u)}, nil
}

// UserPath is a user in a path. huma looks into exported structs only.
type UserPath struct {
	Name string `path:"name" minLength:"1" maxLength:"256"`
}

type changeUserIn struct {
	UserPath

	Body struct {
		Role       string `json:"role,omitempty" enum:"viewer,operator,admin"`
		Password   string `json:"password,omitempty" minLength:"8" maxLength:"256"`
		ResetTwoFA bool   `json:"resetTwoFA,omitempty" doc:"Remove all of the user's second factors"`
	} `nameHint:"UserChange"`
}

// changeUser does what is asked for one after the other; each ends the user's
// sessions.
func (s *server) changeUser(ctx context.Context, in *changeUserIn) (*userOut, error) {
	t := trailOf(ctx)
	t.note(in.Body.Role != "", "role "+in.Body.Role)
	t.note(in.Body.Password != "", "password")
	t.note(in.Body.ResetTwoFA, "second factors removed")
	if in.Body.Password != "" { // first: what is refused must not have been done by half
		if err := auth.CheckPassword(in.Name, in.Body.Password); err != nil {
			return nil, err
		}
	}
	if in.Body.Role != "" {
		if err := s.Auth.SetRole(ctx, in.Name, auth.Role(in.Body.Role)); err != nil {
			return nil, err
		}
	}
	if in.Body.Password != "" {
		if _, err := s.Auth.SetPassword(ctx, in.Name, in.Body.Password); err != nil {
			return nil, err
		}
	}
	if in.Body.ResetTwoFA {
		if err := s.TwoFA.Reset(ctx, in.Name); err != nil {
			return nil, err
		}
		if _, err := s.Auth.EndSessions(context.WithoutCancel(ctx), in.Name); err != nil {
			return nil, err
		}
	}
	return s.user(ctx, in.Name)
}

func (s *server) user(ctx context.Context, name string) (*userOut, error) {
	all, err := s.Auth.Users(ctx)
	if err != nil {
		return nil, err
	}
	for _, u := range all {
		if u.Name == name {
			return &userOut{Body: userOf(u)}, nil
		}
	}
	return nil, noUser()
}

func (s *server) removeUser(ctx context.Context, in *UserPath) (*none, error) {
	return nil, s.Auth.RemoveUser(ctx, in.Name)
}
