package auth

import "time"

// Role is what a user may do; each includes the ones before.
type Role string

// The roles.
const (
	Viewer        Role = "viewer"        // sees
	Operator      Role = "operator"      // acts on containers and images
	Administrator Role = "administrator" // may do all
)

// Covers reports whether somebody with role r may do what needs the other. A
// role that there isn't covers nothing.
func (r Role) Covers(other Role) bool {
	return r.rank() >= other.rank() && other.rank() > 0
}

func (r Role) rank() int {
	switch r {
	case Viewer:
		return 1
	case Operator:
		return 2
	case Administrator:
		return 3
	}
	return 0
}

// Identity is who is asking.
type Identity struct {
	Username      string
	Role          Role
	SessionID     string
	ExpiresAt     time.Time
	TwoFAVerified bool
}
