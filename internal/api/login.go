package api

import (
	"context"
	"time"

	"github.com/watch-docker/watch-docker/internal/auth"
)

type none struct{}

type loginIn struct {
	Body struct {
		Username string `json:"username" minLength:"1" maxLength:"64"`
		Password string `json:"password" minLength:"1" maxLength:"256"`
	} `nameHint:"Credentials"`
}

type loginOut struct {
	Cookie string `header:"Set-Cookie"`
	Body   struct {
		Token     string    `json:"token" doc:"For Authorization: Bearer; browsers get it as a cookie, too"`
		ExpiresAt time.Time `json:"expiresAt"`
	} `nameHint:"Login"`
}

func (s *server) login(ctx context.Context, in *loginIn) (*loginOut, error) {
	who := callerOf(ctx)
	login, err := s.Auth.Login(ctx, auth.LoginRequest{
		Username: in.Body.Username, Password: in.Body.Password, Address: who.Address, Device: who.Agent,
	})
	if err != nil {
		return nil, err
	}
	who.Identity = login.Identity // for the access log
	out := &loginOut{Cookie: s.cookie(who, login.Token)}
	out.Body.Token, out.Body.ExpiresAt = login.Token, login.ExpiresAt
	return out, nil
}

type logoutOut struct {
	Cookie string `header:"Set-Cookie"`
}

func (s *server) logout(ctx context.Context, _ *none) (*logoutOut, error) {
	who := callerOf(ctx)
	return &logoutOut{Cookie: s.cookie(who, "")}, s.Auth.Logout(ctx, who.SessionID)
}

type meOut struct {
	Body struct {
		Username      string    `json:"username"`
		Role          string    `json:"role" enum:"viewer,operator,administrator"`
		TwoFAVerified bool      `json:"twoFAVerified"`
		ExpiresAt     time.Time `json:"expiresAt"`
	} `nameHint:"Me"`
}

func (s *server) me(ctx context.Context, _ *none) (*meOut, error) {
	who, out := callerOf(ctx), &meOut{}
	out.Body.Username, out.Body.Role = who.Username, string(who.Role)
	out.Body.TwoFAVerified, out.Body.ExpiresAt = who.TwoFAVerified, who.ExpiresAt
	return out, nil
}
