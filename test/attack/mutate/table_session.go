package main

func passkeys() []mutation {
	use := edit{verification, "return rp.ValidateLogin(who, c.data, parsed)",
		"c.data.UserID, c.data.AllowedCredentialIDs = who.handle, nil\n\t\treturn rp.ValidateLogin(who, c.data, parsed)"}
	cloned := edit{verification, "if credential.Authenticator.CloneWarning {", "if false {"}
	again := []edit{
		{"internal/twofa/pending.go", "p.waiting = slices.Delete(p.waiting, i, i+1)\n\treturn what, true", "return what, true"}, cloned,
		{factorRows, "WHERE id = ? AND user = ? AND sign_count = ?`", "WHERE id = ? AND user = ? AND ? >= 0`"},
	}
	return []mutation{
		{
			"a ceremony is anybody's", []edit{{ceremony, "c.user != want.user || c.session != want.session ||", ""}, use},
			[]string{"TestAPasskeyCeremonyBelongsToItsUser", "TestAPasskeyCeremonyBelongsToItsSession"},
		},
		one("a passkey says whose it is", verification, "if r.Imported && len(parsed.Response.UserHandle) > 0 {", "if len(parsed.Response.UserHandle) > 0 {",
			"TestAPasskeyCeremonyBelongsToItsUser"),
		one("a ceremony is for any purpose", ceremony, "c.purpose != want.purpose || ", "", "TestAPasskeyCeremonyBelongsToItsPurpose"),
		one("a ceremony is for any session", ceremony, " || c.session != want.session ||", " ||", "TestAPasskeyCeremonyBelongsToItsSession"),
		{
			"an answer may come from elsewhere", []edit{
				{ceremony, "if got != want {", "if false {"}, {ceremony, "RPOrigins: []string{at.Origin},", "RPOrigins: []string{at.Origin, \"http://evil.example\"},"},
			},
			[]string{"TestAPasskeyAnswerCountsOnlyForOurSite"},
		},
		one("a passkey alone needn't verify its user", verification, "protocol.VerificationRequired", "protocol.VerificationPreferred",
			"TestSigningInByPasskeyAloneNeedsTheUserVerified"),
		{"a clone is good", []edit{cloned}, []string{"TestAClonedPasskeyIsRefused"}},
		one("backup eligibility may change", verification, "if r.FlagsUnknown {", "if true {", "TestAPasskeyWhoseBackupEligibilityFlipsIsRefused"),
		one("a registration takes over", factorRows, "ON CONFLICT (credential_id) DO NOTHING",
			"ON CONFLICT (credential_id) DO UPDATE SET user = excluded.user, credential = excluded.credential", "TestAPasskeyCantBeRegisteredForASecondUser"),
		{
			"a ceremony isn't over after its answer", again, []string{"TestOnePasskeyAnswerTwentyTimesAtOnceProvesOnce"},
		},
		{
			"a ceremony isn't over for anybody", append(again[:3:3], edit{ceremony, " || c.session != want.session ||", " ||"}),
			[]string{"TestACapturedPasskeyAnswerWorksOnceAlsoTwiceAtOnce"},
		},
	}
}

func tokens() []mutation {
	const token, key, account, apiToken = "internal/auth/token.go", "internal/auth/key.go", "internal/auth/account.go", "internal/auth/apitoken.go"
	methods := "jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()})"
	return []mutation{
		{
			"alg none is good", []edit{
				{token, "func(*jwt.Token) (any, error) { return *s.key.Load(), nil },",
					"func(t *jwt.Token) (any, error) {\n\t\tif t.Method.Alg() == \"none\" {\n\t\t\treturn jwt.UnsafeAllowNoneSignatureType, nil\n\t\t}\n\t\treturn *s.key.Load(), nil\n\t},"},
				{token, methods, "jwt.WithValidMethods([]string{\"HS256\", \"none\"})"},
			},
			[]string{"TestATokenWithoutASignatureIsRefused"},
		},
		one("any HMAC is good", token, methods, "jwt.WithValidMethods([]string{\"HS256\", \"HS384\", \"HS512\"})", "TestATokenByAnotherAlgorithmIsRefused"),
		one("every installation has the same key", key, "_, _ = rand.Read(key[:]) ", "_ = rand.Reader ", "TestATokenSignedByAnotherKeyIsRefused"),
		one("a token needs no end", token, "jwt.WithExpirationRequired(),", "", "TestATokenIsNoMoreThanItsSession"),
		one("a token's time of issue isn't looked at", token, "jwt.WithIssuedAt(), ", "", "TestATokenIsNoMoreThanItsSession"),
		one("claims needn't agree with the session", "internal/auth/session.go",
			"case x.User != claims.Username, x.Temporary != claims.IsTempToken:", "case false:", "TestATokenIsNoMoreThanItsSession"),
		one("logout only forgets the cookie", "internal/auth/session.go",
			"if err := s.store.RemoveSession(ctx, sessionID); err != nil {", "if err := ctx.Err(); err != nil {",
			"TestATokenEndsWithLogout"),
		one("sessions outlive a changed password", account, "return s.renew(ctx, u, id, x, from)", addSession("x"), "TestEveryTokenEndsWithAChangedPassword"),
		one("an API token keeps its role", apiToken, "if role.Covers(Role(t.Role)) {", "if false {", "TestATokenOfAUserWhoIsGoneOrDemotedCountsForNoMore"),
		one("a token counts in the URL", guard, "cookie, err := r.Cookie(cookieName(secure))",
			"if q := r.URL.Query().Get(\"token\"); q != \"\" {\n\t\treturn q, false\n\t}\n\tcookie, err := r.Cookie(cookieName(secure))",
			"TestATokenCountsOnlyInTheHeaderOrTheCookie"),
		one("scripts read the cookie", guard, "HttpOnly: true,", "HttpOnly: false,", "TestACookieIsForScriptsAndOtherSitesOutOfReach"),
		one("other sites' requests carry the cookie", guard, "SameSite: http.SameSiteStrictMode,", "SameSite: http.SameSiteNoneMode,",
			"TestACookieIsForScriptsAndOtherSitesOutOfReach"),
	}
}

func origins() []mutation {
	return []mutation{
		one("any page may change things", "internal/api/origin.go",
			"if !carriesBearer(c.Request) && !s.mayChange(protection, c.Request) {", "if false && !s.mayChange(protection, c.Request) {",
			"TestAPageOfAnotherOriginCantChangeAnything"),
		one("Go's check of origins alone", "internal/api/origin.go",
			"case origin != \"\" && r.Header.Get(\"Sec-Fetch-Site\") == \"\":", "case false:", "TestAPageOfAnotherOriginCantChangeAnything"),
		one("any page may open a socket", socket,
			"if !carriesBearer(r) && !s.ownOrigin(r, r.Header.Get(\"Origin\")) {", "if false && !s.ownOrigin(r, \"\") {",
			"TestAPageOfAnotherOriginCantOpenASocket"),
		one("a proxy's credentials are a program's token", socket, "if !carriesBearer(r) && !s.ownOrigin(", "if r.Header.Get(\"Authorization\") == \"\" && !s.ownOrigin(",
			"TestAPageOfAnotherOriginCantOpenASocket"),
		one("a socket outlives its session", socket, "case <-ended:", "case <-make(chan struct{}):", "TestASocketEndsWithItsSession"),
		one("browsers guess at types", "internal/api/middleware.go", "h.Set(\"X-Content-Type-Options\", \"nosniff\")\n", "",
			"TestEveryAnswerTellsTheBrowserToBeStrict"),
	}
}

func forwarding() []mutation {
	const api = "internal/api/api.go"
	return []mutation{
		one("everybody is a trusted proxy", api, "r.SetTrustedProxies(proxies)", "r.SetTrustedProxies([]string{\"0.0.0.0/0\"})",
			"TestForgedHeadersDontEvadeTheThrottle"),
		one("anybody says that there is TLS", guard, " && s.trusted(c.RemoteIP())", "", "TestForgedHeadersDontChangeTheCookie"),
		one("anybody says where we are", site, "if s.trusted(remoteIP(r)) {", "if true {", "TestForgedHeadersDontChangeThePasskeysDomain"),
		one("the base URL doesn't go first", site, "if s.BaseURL == nil || ok && slices.Contains(s.allowedDomains(), at.domain()) {",
			"if s.BaseURL == nil || ok {", "TestAForgedHostDoesntChangeThePasskeysDomainWithABaseURL"),
		one("any domain is allowed", site, "case len(allowed) > 0 && !slices.Contains(allowed, domain):", "case len(allowed) > 99:",
			"TestOnlyAllowedDomainsGetPasskeys"),
		one("the first forwarded address counts", guard, "Address: c.ClientIP(),", "Address: first(c.GetHeader(\"X-Forwarded-For\")),",
			"TestAClientBehindATrustedProxyCantForgeItsAddress", "TestASecondForwardedLineDoesntHideTheFirst"),
		one("an IPv6 address is a network", guess, "ip.Prefix(64)", "ip.Prefix(128)", "TestAClientBehindATrustedProxyCantForgeItsAddress"),
		one("X-Real-IP counts as well", api, "[]string{\"X-Forwarded-For\"}", "[]string{\"X-Forwarded-For\", \"X-Real-IP\"}",
			"TestNoOtherHeaderTakesTheForwardedAddresssPlace"),
	}
}
