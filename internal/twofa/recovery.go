package twofa

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

const (
	recoveryCodes = 10
	recoverySize  = 10 // bytes: 16 characters
	recoveryGroup = 4  // characters between dashes
)

// recoveryText is Crockford's alphabet: no letter in it looks like another or
// like a digit.
func recoveryText() *base32.Encoding {
	return base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)
}

// newRecoveryCodes makes a set, grouped for reading.
func newRecoveryCodes() []string {
	codes := make([]string, recoveryCodes)
	for i := range codes {
		random := make([]byte, recoverySize)
		rand.Read(random)
		text := recoveryText().EncodeToString(random)
		var groups []string
		for ; text != ""; text = text[recoveryGroup:] {
			groups = append(groups, text[:recoveryGroup])
		}
		codes[i] = strings.Join(groups, "-")
	}
	return codes
}

// recoveryHash is what is stored of a code, however it was typed in.
func recoveryHash(code string) []byte {
	plain := strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\n', '\r', '-', '_', '.', '\u00a0', '\u2010', '\u2011', '\u2012', '\u2013', '\u2014':
			return -1
		case 'O':
			return '0'
		case 'I', 'L':
			return '1'
		}
		return r
	}, strings.ToUpper(code))
	sum := sha256.Sum256([]byte(plain)) // 80 random bits need no slower one
	return sum[:]
}

func hashesOf(codes []string) [][]byte {
	hashes := make([][]byte, len(codes))
	for i, code := range codes {
		hashes[i] = recoveryHash(code)
	}
	return hashes
}

// codesOf is never nil: an empty list is [] in JSON.
func codesOf(codes []string, stored bool) []string {
	if stored {
		return codes
	}
	return []string{}
}

// VerifyRecovery accepts one of the user's recovery codes, once.
//
// Errors: ErrRecoveryCode.
func (s *Service) VerifyRecovery(ctx context.Context, user, code string) error {
	ok, err := s.store.UseRecoveryCode(ctx, user, recoveryHash(code))
	if err == nil && !ok {
		return ErrRecoveryCode
	}
	return err
}

// NewRecoveryCodes makes a new set in place of what is left of the old one.
//
// Errors: ErrNoFactor.
func (s *Service) NewRecoveryCodes(ctx context.Context, user string) ([]string, error) {
	codes := newRecoveryCodes()
	ok, err := s.store.SetRecoveryCodes(ctx, user, hashesOf(codes))
	if err == nil && !ok {
		return nil, ErrNoFactor
	}
	return codesOf(codes, ok), err
}
