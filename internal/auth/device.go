package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
)

// devicesKept is how many devices of a user are known at most.
const devicesKept = 30

// device names a device of the account that is known, for counting its
// guesses; "" for all others. A store that fails knows none.
func (s *Service) device(ctx context.Context, account, key string) string {
	if account == "" || key == "" || len(key) > 100 {
		return ""
	}
	hash := sha256.Sum256([]byte(key))
	known, err := s.store.IsDevice(ctx, account, hash[:])
	if err != nil {
		s.log.Warn("a device could not be looked up", logging.Err(err))
	}
	if !known {
		return ""
	}
	return hex.EncodeToString(hash[:])
}

// knowDevice notes that the user is signed in with a device, and gives the key
// that it is to keep.
func (s *Service) knowDevice(ctx context.Context, user, key string) string {
	if s.device(ctx, user, key) == "" {
		key = newSecret()
	}
	hash := sha256.Sum256([]byte(key))
	if err := s.store.KnowDevice(ctx, user, hash[:], devicesKept); err != nil {
		s.log.Warn("a device could not be noted", zap.String("user", user), logging.Err(err))
	}
	return key
}

// newSecret is 32 random bytes for a cookie or a header.
func newSecret() string {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(random[:])
}
