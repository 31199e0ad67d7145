package auth

import "time"

// Role is what a user may do; each includes the ones before.
type Role string

// The roles.
const (
	Viewer        Role = "viewer"   // sees
	Operator      Role = "operator" // acts on containers and images
	Administrator Role = "admin"    // may do all
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
	SessionID     string // or the API token's id
	ExpiresAt     time.Time
	TwoFAVerified bool
	Temporary     bool      // the second factor is still missing
	HasFactor     bool      // the user has one, of any kind
	ElevatedUntil time.Time // how long the last proof counts as fresh
	APIToken      string    // the API token's name; "" for a session
}
