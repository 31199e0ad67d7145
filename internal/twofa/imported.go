package twofa

import (
	"context"
	"errors"
)

// Imported is what an older installation kept about a user, in twofa.users of
// its configuration.
type Imported struct {
	Method              string
	OTPSecret           string
	WebAuthnCredentials []map[string]any
	IsSetup             bool
}

// Import stores what an older installation knew.
func (s *Service) Import(ctx context.Context, users map[string]Imported) error {
	return errors.ErrUnsupported
}
