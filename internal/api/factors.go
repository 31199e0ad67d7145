package api

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/twofa"
)

// FactorStatus is what a user has for second factors.
type FactorStatus struct {
	Required            bool         `json:"required" doc:"Every user must have one"`
	IsSetup             bool         `json:"isSetup" doc:"There is one, on whatever site"`
	UsableHere          bool         `json:"usableHere" doc:"One of them works on this site"`
	Method              string       `json:"method" enum:"otp,webauthn," doc:"Used last"`
	Methods             []string     `json:"methods"`
	RecoveryCodesLeft   int          `json:"recoveryCodesLeft"`
	Credentials         []Credential `json:"credentials"`
	PasskeysUnavailable string       `json:"passkeysUnavailable,omitempty" doc:"Why passkeys can't work here"`
}

// Credential is a passkey.
type Credential struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	RPID       string     `json:"rpid" doc:"The host name that it belongs to"`
	CreatedAt  time.Time  `json:"createdAt"`
	LastUsedAt *time.Time `json:"lastUsedAt"`
}

type factorStatusOut struct{ Body FactorStatus }

func (s *server) factorStatus(ctx context.Context, _ *none) (*factorStatusOut, error) {
	who := callerOf(ctx)
	status, err := s.TwoFA.Status(ctx, who.Username, who.Site)
	if err != nil {
		return nil, err
	}
	out := &factorStatusOut{Body: FactorStatus{
		Required: s.Auth.Required(), IsSetup: status.IsSetup, UsableHere: status.UsableHere, Method: status.Method, Methods: orEmpty(status.Methods),
		RecoveryCodesLeft: status.RecoveryCodesLeft, Credentials: []Credential{}, PasskeysUnavailable: status.Unavailable,
	}}
	for _, c := range status.Credentials {
		out.Body.Credentials = append(out.Body.Credentials, Credential{ID: c.ID, Name: c.Name, RPID: c.RPID, CreatedAt: c.CreatedAt, LastUsedAt: c.LastUsedAt})
	}
	return out, nil
}

// mayEnrol keeps a temporary token from adding a factor to those there are:
// it has proved the password alone.
func mayEnrol(who *caller) error {
	if who.Temporary && who.HasFactor {
		return twofa.ErrHasFactor
	}
	return nil
}

// firstOnly is true of whoever had no factor when they were asked who they
// are: they haven't given the one that may have come meanwhile.
func firstOnly(who *caller) bool { return who.Temporary || !who.HasFactor }

type enrolmentOut struct {
	Body struct {
		Secret string `json:"secret" doc:"Base32, to type in"`
		URL    string `json:"url" doc:"otpauth://"`
		QRCode string `json:"qrCode" doc:"The URL as a picture: data:image/png;base64"`
	} `nameHint:"OTPEnrolment"`
}

func (s *server) beginOTP(ctx context.Context, _ *none) (*enrolmentOut, error) {
	who := callerOf(ctx)
	if err := mayEnrol(who); err != nil {
		return nil, err
	}
	e, err := s.TwoFA.BeginOTP(ctx, who.Username, who.SessionID)
	out := &enrolmentOut{}
	out.Body.Secret, out.Body.URL, out.Body.QRCode = e.Secret, e.URL, e.QRCode
	return out, err
}

type codeIn struct {
	Body struct {
		Code string `json:"code" minLength:"1" maxLength:"64"`
	} `nameHint:"Code"`
}

func (s *server) finishOTP(ctx context.Context, in *codeIn) (*loginOut, error) {
	who := callerOf(ctx)
	if err := mayEnrol(who); err != nil {
		return nil, err
	}
	codes, err := s.TwoFA.FinishOTP(ctx, who.Username, who.SessionID, in.Body.Code, firstOnly(who))
	return s.enrolled(ctx, codes, err)
}

// enrolled begins a session in place of all others.
func (s *server) enrolled(ctx context.Context, codes []string, err error) (*loginOut, error) {
	if err != nil {
		return nil, err
	}
	who, ctx := callerOf(ctx), context.WithoutCancel(ctx) // sessions end also if whoever asked is gone
	login, err := s.Auth.FactorChanged(ctx, who.Identity, true, who.client())
	if err != nil {
		return nil, err
	}
	out, err := s.signedIn(ctx, login)
	if err == nil {
		out.Body.RecoveryCodes = orEmpty(codes)
	}
	return out, err
}

type registrationIn struct {
	Body *struct {
		Name       string `json:"name,omitempty" maxLength:"64" doc:"What its user calls it"`
		Attachment string `json:"attachment,omitempty" enum:"platform,cross-platform,"`
	} `nameHint:"PasskeyRequest"`
}

func (s *server) beginRegistration(ctx context.Context, in *registrationIn) (*ceremonyOut, error) {
	who := callerOf(ctx)
	if err := mayEnrol(who); err != nil {
		return nil, err
	}
	var wanted twofa.Registration
	if in.Body != nil {
		wanted = twofa.Registration{Name: in.Body.Name, Attachment: in.Body.Attachment}
	}
	return ceremony(s.TwoFA.BeginRegistration(ctx, who.Username, who.SessionID, who.Site, wanted))
}

func (s *server) finishRegistration(ctx context.Context, in *answerIn) (*loginOut, error) {
	who := callerOf(ctx)
	if err := mayEnrol(who); err != nil {
		return nil, err
	}
	codes, err := s.TwoFA.FinishRegistration(ctx, who.Username, who.SessionID, who.Site, in.Body.SessionID, in.Body.Credential, firstOnly(who))
	return s.enrolled(ctx, codes, err)
}

// checkFactor has a factor checked, with leave to guess.
func (s *server) checkFactor(ctx context.Context, check func() error) error {
	who := callerOf(ctx)
	guess, err := s.Auth.Guess(ctx, auth.GuessFactor, who.Username, who.client())
	if err != nil {
		return err
	}
	err = check()
	settle(guess, err)
	return err
}

// settle says what became of a guess. One that was cut short by something else
// than its being wrong doesn't count.
func settle(guess auth.Guess, err error) {
	wrong := func(kind error) bool { return errors.Is(err, kind) }
	switch {
	case err == nil:
		guess.Right()
	case wrong(twofa.ErrCode), wrong(twofa.ErrRecoveryCode), wrong(twofa.ErrPasskey), wrong(twofa.ErrCeremony), wrong(twofa.ErrCloned):
	default:
		guess.Forget()
	}
}

// verified gives the full session after a factor that was right.
func (s *server) verified(ctx context.Context, err error) (*loginOut, error) {
	if err != nil {
		return nil, err
	}
	who := callerOf(ctx)
	login, err := s.Auth.Upgrade(ctx, who.Identity, who.client())
	if err != nil {
		return nil, err
	}
	return s.signedIn(ctx, login)
}

func (s *server) verifyOTP(ctx context.Context, in *codeIn) (*loginOut, error) {
	return s.verified(ctx, s.checkFactor(ctx, func() error { return s.TwoFA.VerifyOTP(ctx, callerOf(ctx).Username, in.Body.Code) }))
}

func (s *server) verifyRecovery(ctx context.Context, in *codeIn) (*loginOut, error) {
	return s.verified(ctx, s.checkFactor(ctx, func() error { return s.TwoFA.VerifyRecovery(ctx, callerOf(ctx).Username, in.Body.Code) }))
}

func (s *server) beginVerification(ctx context.Context, _ *none) (*ceremonyOut, error) {
	who := callerOf(ctx)
	return ceremony(s.TwoFA.BeginVerification(ctx, who.Username, who.SessionID, who.Site))
}

func (s *server) finishVerification(ctx context.Context, in *answerIn) (*loginOut, error) {
	who := callerOf(ctx)
	return s.verified(ctx, s.checkFactor(ctx, func() error {
		return s.TwoFA.FinishVerification(ctx, who.Username, who.SessionID, who.Site, in.Body.SessionID, in.Body.Credential)
	}))
}

type disableIn struct {
	Body *struct {
		Method string `json:"method,omitempty" enum:"otp,webauthn," doc:"None: all of them"`
	} `nameHint:"DisableRequest"`
}

func (s *server) disableFactor(ctx context.Context, in *disableIn) (*logoutOut, error) {
	method := ""
	if in.Body != nil {
		method = in.Body.Method
	}
	if err := s.TwoFA.Disable(ctx, callerOf(ctx).Username, method); err != nil {
		return nil, err
	}
	return s.afterRemoval(ctx)
}

// afterRemoval ends all sessions. A browser's goes on as a new one, unless a
// second factor has to be set up first.
func (s *server) afterRemoval(ctx context.Context) (*logoutOut, error) {
	who, ctx := callerOf(ctx), context.WithoutCancel(ctx) // sessions end also if whoever asked is gone
	status, err := s.TwoFA.Status(ctx, who.Username, who.Site)
	if err != nil {
		return nil, err
	}
	if !who.ByCookie || s.Auth.Required() && !status.IsSetup {
		_, err := s.Auth.EndSessions(ctx, who.Username)
		return &logoutOut{Cookies: s.cookies(who, "", "")}, err
	}
	login, err := s.Auth.FactorChanged(ctx, who.Identity, status.IsSetup, who.client())
	if err != nil {
		return nil, err
	}
	return &logoutOut{Cookies: s.cookies(who, login.Token, login.DeviceKey)}, nil
}

type recoveryCodesOut struct {
	Body struct {
		RecoveryCodes []string `json:"recoveryCodes" doc:"Shown once"`
	} `nameHint:"RecoveryCodes"`
}

func (s *server) newRecoveryCodes(ctx context.Context, _ *none) (*recoveryCodesOut, error) {
	codes, err := s.TwoFA.NewRecoveryCodes(ctx, callerOf(ctx).Username)
	out := &recoveryCodesOut{}
	out.Body.RecoveryCodes = orEmpty(codes)
	return out, err
}

type renameIn struct {
	ID   string `path:"id" minLength:"1" maxLength:"64"`
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"64"`
	} `nameHint:"PasskeyName"`
}

func (s *server) renameCredential(ctx context.Context, in *renameIn) (*none, error) {
	return nil, s.TwoFA.RenameCredential(ctx, callerOf(ctx).Username, in.ID, in.Body.Name)
}

func (s *server) removeCredential(ctx context.Context, in *idIn) (*logoutOut, error) {
	if err := s.TwoFA.RemoveCredential(ctx, callerOf(ctx).Username, in.ID); err != nil {
		return nil, err
	}
	return s.afterRemoval(ctx)
}

// TwoFA is twofa.Service, where the errors of each are listed.
type TwoFA interface {
	Status(ctx context.Context, user string, at twofa.Site) (twofa.Status, error)
	Codes
	Passkeys

	Disable(ctx context.Context, user, method string) error
	Reset(ctx context.Context, user string) error
}

// Codes are one-time passwords and recovery codes.
type Codes interface {
	BeginOTP(ctx context.Context, user, session string) (twofa.Enrolment, error)
	FinishOTP(ctx context.Context, user, session, code string, first bool) (recovery []string, err error)
	VerifyOTP(ctx context.Context, user, code string) error
	VerifyRecovery(ctx context.Context, user, code string) error
	NewRecoveryCodes(ctx context.Context, user string) ([]string, error)
}

// Passkeys are WebAuthn credentials.
type Passkeys interface {
	BeginRegistration(ctx context.Context, user, session string, at twofa.Site, r twofa.Registration) (twofa.Ceremony, error)
	FinishRegistration(ctx context.Context, user, session string, at twofa.Site, id string, credential json.RawMessage, first bool) (recovery []string, err error)
	BeginVerification(ctx context.Context, user, session string, at twofa.Site) (twofa.Ceremony, error)
	FinishVerification(ctx context.Context, user, session string, at twofa.Site, id string, credential json.RawMessage) error
	BeginPasswordless(ctx context.Context, network string, at twofa.Site) (twofa.Ceremony, error)
	FinishPasswordless(ctx context.Context, at twofa.Site, id string, credential json.RawMessage) (user string, err error)
	RenameCredential(ctx context.Context, user, id, name string) error
	RemoveCredential(ctx context.Context, user, id string) error
}
