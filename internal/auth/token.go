package auth

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/watch-docker/watch-docker/internal/store"
)

const (
	issuer = "watch-docker"
	// longestToken is far more than any token of ours; longer ones aren't even looked at.
	longestToken = 2 << 10
)

// ErrToken is what is wrong with a token, as errors.Is finds it; the errors
// below are its kinds.
var ErrToken = errors.New("the token doesn't count")

// The kinds of ErrToken.
var (
	ErrTokenMalformed = fmt.Errorf("%w: it is no token", ErrToken)
	ErrTokenForged    = fmt.Errorf("%w: it was not signed here", ErrToken)
	ErrTokenExpired   = fmt.Errorf("%w: it has expired", ErrToken)
	ErrTokenEnded     = fmt.Errorf("%w: its session has ended", ErrToken)
)

// ErrSecondFactor says that a session counts only with a second factor, which
// it has not given.
var ErrSecondFactor = errors.New("a second factor is needed first")

// Claims are what a token says. Its ID (jti) is the session's.
type Claims struct {
	Username string `json:"username"`
	// TwoFAVerified: a second factor was given.
	TwoFAVerified bool `json:"twoFAVerified"`
	// IsTempToken: good for giving or enrolling a second factor, for nothing else.
	IsTempToken bool `json:"isTempToken"`

	jwt.RegisteredClaims
}

func (s *Service) sign(session store.Session) (string, error) {
	claims := Claims{Username: session.User, TwoFAVerified: session.Verified, IsTempToken: session.Temporary, RegisteredClaims: jwt.RegisteredClaims{
		ID: session.ID, Issuer: issuer, Subject: session.User,
		IssuedAt: jwt.NewNumericDate(session.CreatedAt), ExpiresAt: jwt.NewNumericDate(session.ExpiresAt),
	}}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(*s.key.Load())
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return token, nil
}

// parse checks everything about a token but its session. The algorithm is
// pinned: what the token's own header says must not choose it (RFC 8725, 3.1).
func (s *Service) parse(token string) (Claims, error) {
	if len(token) > longestToken {
		return Claims{}, ErrTokenMalformed
	}
	var claims Claims
	_, err := jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return *s.key.Load(), nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithExpirationRequired(),
		jwt.WithIssuer(issuer), jwt.WithIssuedAt(), jwt.WithStrictDecoding(), jwt.WithTimeFunc(s.now))
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return Claims{}, ErrTokenMalformed
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return Claims{}, ErrTokenForged
	case errors.Is(err, jwt.ErrTokenExpired):
		return Claims{}, ErrTokenExpired
	case err != nil, claims.ID == "", claims.Username == "":
		return Claims{}, ErrTokenMalformed
	}
	return claims, nil
}

// IsToken reports whether a text looks like a session's token or an API token.
func IsToken(text string) bool {
	return isAPIToken(text) || strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2
}

func newSessionID() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(random[:])
}
