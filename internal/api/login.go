package api

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"time"

	"github.com/watch-docker/watch-docker/internal/auth"
	"github.com/watch-docker/watch-docker/internal/twofa"
)

type none struct{}

type loginIn struct {
	Body struct {
		Username string `json:"username" minLength:"1" maxLength:"64"`
		Password string `json:"password" minLength:"1" maxLength:"256"`
	} `nameHint:"Credentials"`
}

// SignedIn is a sign-in, or what is still missing for one.
type SignedIn struct {
	Token     string    `json:"token,omitempty" doc:"For Authorization: Bearer; browsers get it as a cookie, too"`
	ExpiresAt time.Time `json:"expiresAt"`

	NeedTwoFA  bool     `json:"needTwoFA" doc:"A second factor is needed first"`
	IsSetup    *bool    `json:"isSetup,omitempty" doc:"With needTwoFA: whether there is a second factor; if not, set one up"`
	UsableHere *bool    `json:"usableHere,omitempty" doc:"With needTwoFA: whether one of them works on this site"`
	Method     *string  `json:"method,omitempty" doc:"With needTwoFA: the method used last" enum:"otp,webauthn,"`
	Methods    []string `json:"methods,omitzero" doc:"With needTwoFA: those set up"`
	TempToken  string   `json:"tempToken,omitempty" doc:"With needTwoFA: for the routes below /api/v1/2fa alone"`

	RecoveryCodes []string `json:"recoveryCodes,omitzero" doc:"After a set-up: shown once; none if there are some already"`
}

type loginOut struct {
	Cookies []string `header:"Set-Cookie"`
	Body    SignedIn
}

func (s *server) login(ctx context.Context, in *loginIn) (*loginOut, error) {
	login, err := s.Auth.Login(ctx, auth.LoginRequest{Client: callerOf(ctx).client(), Username: in.Body.Username, Password: in.Body.Password})
	if err != nil {
		trailOf(ctx).triedBy(in.Body.Username, err)
		return nil, err
	}
	return s.signedIn(ctx, login)
}

// signedIn is the answer to a sign-in.
func (s *server) signedIn(ctx context.Context, login auth.Login) (*loginOut, error) {
	who := callerOf(ctx)
	who.Identity = login.Identity // for the access log
	out := &loginOut{Body: SignedIn{ExpiresAt: login.ExpiresAt}}
	if !login.Temporary {
		out.Body.Token, out.Cookies = login.Token, s.cookies(who, login.Token, login.DeviceKey)
		return out, nil
	}
	status, err := s.TwoFA.Status(ctx, login.Username, who.Site)
	if err != nil {
		return nil, err
	}
	out.Body.NeedTwoFA, out.Body.TempToken = true, login.Token
	out.Body.IsSetup, out.Body.UsableHere = &status.IsSetup, &status.UsableHere
	out.Body.Method, out.Body.Methods = &status.Method, orEmpty(status.Methods)
	return out, nil
}

type needsSetupOut struct {
	Body struct {
		Needed bool `json:"needed" doc:"Nobody can sign in yet"`
	} `nameHint:"SetupStatus"`
}

func (s *server) needsSetup(ctx context.Context, _ *none) (*needsSetupOut, error) {
	needed, err := s.Auth.NeedsSetup(ctx)
	out := &needsSetupOut{}
	out.Body.Needed = needed
	return out, err
}

type setupIn struct {
	Body struct {
		SetupToken string `json:"setupToken" minLength:"1" maxLength:"256" doc:"From the program's log"`
		Username   string `json:"username" minLength:"1" maxLength:"64"`
		Password   string `json:"password" minLength:"8" maxLength:"256"`
	} `nameHint:"SetupRequest"`
}

func (s *server) setup(ctx context.Context, in *setupIn) (*loginOut, error) {
	login, err := s.Auth.Setup(ctx, in.Body.SetupToken, auth.LoginRequest{
		Client: callerOf(ctx).client(), Username: in.Body.Username, Password: in.Body.Password,
	})
	if err != nil {
		return nil, err
	}
	return s.signedIn(ctx, login)
}

type ceremonyOut struct {
	Body Ceremony
}

// Ceremony is one that a browser does with a passkey.
type Ceremony struct {
	SessionID string          `json:"sessionId" doc:"For the end of it"`
	Options   json.RawMessage `json:"options" doc:"For navigator.credentials: {publicKey: …}"`
}

func ceremony(c twofa.Ceremony, err error) (*ceremonyOut, error) {
	if err != nil {
		return nil, err
	}
	return &ceremonyOut{Body: Ceremony{SessionID: c.ID, Options: c.Options}}, nil
}

// Answer is what a passkey has answered.
type Answer struct {
	SessionID  string          `json:"sessionId" minLength:"1" maxLength:"128"`
	Credential json.RawMessage `json:"credential" doc:"PublicKeyCredential as JSON"`
}

type answerIn struct{ Body Answer }

func (s *server) beginPasskeyLogin(ctx context.Context, _ *none) (*ceremonyOut, error) {
	who := callerOf(ctx)
	trailOf(ctx).never = true // what succeeds is recorded without a limit
	return ceremony(s.TwoFA.BeginPasswordless(ctx, auth.NetworkOf(who.Address), who.Site))
}

func (s *server) finishPasskeyLogin(ctx context.Context, in *answerIn) (*loginOut, error) {
	who := callerOf(ctx)
	guess, err := s.Auth.Guess(ctx, auth.GuessPasskey, "", who.client())
	if err != nil {
		return nil, err
	}
	user, err := s.TwoFA.FinishPasswordless(ctx, who.Site, in.Body.SessionID, in.Body.Credential)
	settle(guess, err)
	if err != nil {
		trailOf(ctx).user = user // a passkey that was cloned is somebody's
		return nil, err
	}
	login, err := s.Auth.LoginVerified(ctx, user, who.client())
	if err != nil {
		return nil, err
	}
	return s.signedIn(ctx, login)
}

type logoutOut struct {
	Cookies []string `header:"Set-Cookie"`
}

func (s *server) logout(ctx context.Context, _ *none) (*logoutOut, error) {
	who := callerOf(ctx)
	return &logoutOut{Cookies: s.cookies(who, "", "")}, s.Auth.Logout(ctx, who.SessionID)
}

type meOut struct {
	Body struct {
		Username      string     `json:"username"`
		Role          string     `json:"role" enum:"viewer,operator,admin"`
		TwoFAVerified bool       `json:"twoFAVerified" doc:"A second factor was given in this session"`
		HasFactor     bool       `json:"hasFactor"`
		ExpiresAt     *time.Time `json:"expiresAt" doc:"null: an API token that doesn't expire"`
		ElevatedUntil *time.Time `json:"elevatedUntil" doc:"How long the last proof counts as fresh; null if it doesn't"`
		APIToken      string     `json:"apiToken,omitempty" doc:"The API token's name, if it is one"`
	} `nameHint:"Me"`
}

func (s *server) me(ctx context.Context, _ *none) (*meOut, error) {
	who, out := callerOf(ctx), &meOut{}
	out.Body.Username, out.Body.Role = who.Username, string(who.Role)
	out.Body.TwoFAVerified, out.Body.HasFactor, out.Body.APIToken = who.TwoFAVerified, who.HasFactor, who.APIToken
	if !who.ExpiresAt.IsZero() {
		out.Body.ExpiresAt = &who.ExpiresAt
	}
	if s.Auth.IsFresh(who.Identity) {
		out.Body.ElevatedUntil = &who.ElevatedUntil
	}
	return out, nil
}

type changePasswordIn struct {
	Body struct {
		Current string `json:"current" minLength:"1" maxLength:"256"`
		New     string `json:"new" minLength:"8" maxLength:"256"`
	} `nameHint:"PasswordChange"`
}

func (s *server) changePassword(ctx context.Context, in *changePasswordIn) (*loginOut, error) {
	who := callerOf(ctx)
	login, err := s.Auth.ChangePassword(ctx, who.Identity, in.Body.Current, in.Body.New, who.client())
	if err != nil {
		return nil, err
	}
	return s.signedIn(ctx, login)
}

type stepUpIn struct {
	Body struct {
		Code       string          `json:"code,omitempty" maxLength:"64" doc:"A one-time password, or a recovery code"`
		Password   string          `json:"password,omitempty" maxLength:"256" doc:"Only without a second factor"`
		SessionID  string          `json:"sessionId,omitempty" maxLength:"128" doc:"Of /api/v1/2fa/verify/webauthn/begin, with credential"`
		Credential json.RawMessage `json:"credential,omitempty"`
	} `nameHint:"Proof"`
}

type stepUpOut struct {
	Body struct {
		ElevatedUntil time.Time `json:"elevatedUntil"`
	} `nameHint:"Elevation"`
}

func (s *server) stepUp(ctx context.Context, in *stepUpIn) (*stepUpOut, error) {
	who, out := callerOf(ctx), &stepUpOut{}
	var err error
	switch b := in.Body; {
	case b.Code != "" && b.Password == "" && b.SessionID == "":
		err = s.checkFactor(ctx, func() error { return s.checkCode(ctx, b.Code) })
	case b.SessionID != "" && b.Password == "" && b.Code == "":
		err = s.checkFactor(ctx, func() error {
			return s.TwoFA.FinishVerification(ctx, who.Username, who.SessionID, who.Site, b.SessionID, b.Credential)
		})
	case b.Password != "" && b.Code == "" && b.SessionID == "":
		out.Body.ElevatedUntil, err = s.Auth.StepUpPassword(ctx, who.Identity, b.Password, who.client())
		return out, err
	default:
		return nil, invalid("body", "give one of code, password, or sessionId with credential")
	}
	if err != nil {
		return nil, err
	}
	out.Body.ElevatedUntil, err = s.Auth.Elevate(ctx, who.Identity, true)
	return out, err
}

var isOTP = regexp.MustCompile(`^ *([0-9] *){6}$`)

// checkCode takes six digits for a one-time password, all else for a recovery code.
func (s *server) checkCode(ctx context.Context, code string) error {
	user := callerOf(ctx).Username
	if isOTP.MatchString(code) {
		return s.TwoFA.VerifyOTP(ctx, user, code)
	}
	return s.TwoFA.VerifyRecovery(ctx, user, code)
}

func secondFactor() Problem {
	return problem(http.StatusUnauthorized, CodeSecondFactor,
		"Give the second factor first, at /api/v1/2fa/verify, or set one up if there is none; or sign in again.").with(headerAuthenticate, challengeInvalid)
}
