package api

import (
	"net/http"
	"strings"

	"github.com/watch-docker/watch-docker/internal/auth"
)

// access is who may call a route: a role, and with + at its end, only with a
// fresh proof that the user is there (step-up). API tokens can't give one.
type access string

const (
	anyone access = ""
	// temporary: any session, also one that waits for its second factor.
	temporary access = "temporary"
	// enrolling: the same, but a full session needs a fresh proof.
	enrolling access = "temporary+"
	// session: any full session; what an API token is not for.
	session       access = "session"
	viewer               = access(auth.Viewer)
	operator             = access(auth.Operator)
	administrator        = access(auth.Administrator)
	viewerFresh          = viewer + "+"
	operatorFresh        = operator + "+"
	adminFresh           = administrator + "+"
)

// role is the least that is needed.
func (a access) role() auth.Role {
	if role := auth.Role(strings.TrimSuffix(string(a), "+")); role.Covers(auth.Viewer) {
		return role
	}
	return auth.Viewer
}

func (a access) fresh() bool { return strings.HasSuffix(string(a), "+") }

func (a access) temporary() bool { return a == temporary || a == enrolling }

func (a access) session() bool { return a == session || a.temporary() || a.fresh() }

// allows fails unless the caller, who has a token that counts, may call it.
func (s *server) allows(a access, who *caller) error {
	switch {
	case who.Temporary && !a.temporary():
		return secondFactor()
	case who.APIToken != "" && a.session():
		return problem(http.StatusForbidden, CodeNeedsSession, "An API token can't do this: sign in.")
	case who.Temporary:
		return nil
	}
	if err := who.must(a.role()); err != nil {
		return err
	}
	if a.fresh() {
		return s.mustBeFresh(who)
	}
	return nil
}

// mustBeFresh fails if the caller hasn't proved of late to be there.
func (s *server) mustBeFresh(who *caller) error {
	if s.Auth.IsFresh(who.Identity) {
		return nil
	}
	if who.APIToken != "" {
		return problem(http.StatusForbidden, CodeNeedsSession, "An API token can't do this: sign in.")
	}
	what := "the second factor"
	if !who.HasFactor {
		what = "the password"
	}
	return problem(http.StatusForbidden, CodeStepUp, "Give "+what+" again first, at /api/v1/auth/step-up; it counts for five minutes.")
}
