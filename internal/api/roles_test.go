package api_test

import (
	"context"
	"strings"
	"time"

	"github.com/watch-docker/watch-docker/internal/api"
	"github.com/watch-docker/watch-docker/internal/auth"
)

// roles is an Auth whose tokens are the names of roles, with whose or what the
// token is before them: "viewer", "ann/viewer", "temporary:viewer",
// "stale:admin", "api:admin". Sessions end with ended.
type roles struct {
	api.Auth

	ended chan struct{}
	life  time.Duration // of a token, from when it is looked at
}

func (r roles) Ended(context.Context, string) (ended <-chan struct{}, release func()) {
	return r.ended, func() {}
}

func (r roles) expires() time.Time {
	if r.life == 0 {
		return time.Time{}
	}
	return time.Now().Add(r.life)
}

func (r roles) Verify(_ context.Context, token string) (auth.Identity, error) {
	kind, rest, found := strings.Cut(token, ":")
	if !found {
		kind, rest = "", token
	}
	name, role, ok := strings.Cut(rest, "/")
	if !ok {
		role = name
	}
	id := auth.Identity{Username: name, Role: auth.Role(role), SessionID: kind, Temporary: kind == "temporary", ExpiresAt: r.expires()}
	if kind == "api" {
		id.APIToken = "backup"
	}
	return id, nil
}

func (roles) IsFresh(id auth.Identity) bool { return id.SessionID == "" }
