package twofa

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"image/png"
	"strings"
	"time"
	"unicode"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/watch-docker/watch-docker/internal/store"
)

// What authenticator apps understand without being told (RFC 6238 with its
// usual parameters): SHA-1, six digits, 30 seconds.
const (
	issuer     = "Watch Docker"
	secretSize = 32 // bytes
	period     = 30 // seconds
	skew       = 1  // steps before and after
	qrSize     = 256

	enrolmentLife = 15 * time.Minute
)

// Enrolment is a secret that waits for its first code.
type Enrolment struct {
	Secret string // base32, for typing in
	URL    string // otpauth://
	QRCode string // data:image/png;base64,…
}

type enrolment struct{ secret []byte }

// BeginOTP makes a secret for the user, kept in memory for 15 minutes and for
// this session, in place of the one that the session has begun before.
func (s *Service) BeginOTP(_ context.Context, user, session string) (Enrolment, error) {
	secret := make([]byte, secretSize)
	rand.Read(secret)
	key, err := totp.Generate(totp.GenerateOpts{
		Issuer: issuer, AccountName: user, Period: period, Secret: secret, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1,
	})
	if err != nil {
		return Enrolment{}, fmt.Errorf("make a one-time code's secret: %w", err)
	}
	picture, err := qrCode(key)
	if err != nil {
		return Enrolment{}, fmt.Errorf("draw the QR code: %w", err)
	}
	s.enrolments.replace(user, session, enrolment{secret})
	return Enrolment{Secret: key.Secret(), URL: key.URL(), QRCode: picture}, nil
}

func qrCode(key *otp.Key) (string, error) {
	picture, err := key.Image(qrSize, qrSize)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return "", err
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()), nil
}

// FinishOTP stores the secret that the session has begun, in place of the
// user's former one, if the code is one of its. That code counts as used. With
// the user's first factor come recovery codes; else the list is empty. First:
// only while the user has no factor at all.
//
// Errors: ErrCeremony; ErrCode, after which another code may be tried;
// ErrHasFactor.
func (s *Service) FinishOTP(ctx context.Context, user, session, code string, first bool) (recovery []string, err error) {
	begun, id, ok := s.enrolments.of(user, session)
	if !ok {
		return nil, ErrCeremony
	}
	now := s.now()
	step, ok := match(begun.secret, code, now)
	if !ok {
		return nil, ErrCode
	}
	if _, ok := s.enrolments.take(id); !ok { // the same, at the same time
		return nil, ErrCeremony
	}
	codes := newRecoveryCodes()
	wasFirst, err := s.store.AddTOTP(ctx, store.TOTP{
		User: user, Secret: begun.secret, LastStep: step, CreatedAt: now, LastUsedAt: &now,
	}, store.Enrolment{First: first, Recovery: hashesOf(codes)})
	return codesOf(codes, wasFirst), enrolError(err)
}

// VerifyOTP accepts a code of the user's secret, each step once and never a
// former one.
//
// Errors: ErrCode; ErrNoFactor.
func (s *Service) VerifyOTP(ctx context.Context, user, code string) error {
	f, err := s.store.Factors(ctx, user)
	if err != nil {
		return err
	}
	if f.TOTP == nil {
		return ErrNoFactor
	}
	now := s.now()
	step, ok := match(f.TOTP.Secret, code, now)
	if !ok {
		return ErrCode
	}
	ok, err = s.store.UseTOTP(ctx, user, f.TOTP.Secret, step, now)
	if err == nil && !ok {
		return ErrCode
	}
	return err
}

// match gives the time step that the code belongs to, the latest if several.
func match(secret []byte, code string, at time.Time) (step int64, ok bool) {
	code = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, code)
	if len(code) != otp.DigitsSix.Length() {
		return 0, false
	}
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	current := at.Unix() / period
	for candidate := current - skew; candidate <= current+skew; candidate++ {
		if candidate < 0 {
			continue
		}
		want, err := hotp.GenerateCodeCustom(text, uint64(candidate), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, ok = candidate, true
		}
	}
	return step, ok
}
