package main

func roles() []mutation {
	const access, routes = "internal/api/access.go", "internal/api/routes.go"
	return []mutation{
		one("a viewer may update", routes, "handle(r, operator, \"POST /api/containers/{id}/update\"", "handle(r, viewer, \"POST /api/containers/{id}/update\"",
			"TestNobodyGetsPastTheirRoleOnAnyRoute"),
		one("an API token may all that its role may", access, "case who.APIToken != \"\" && a.session():", "case false:",
			"TestNobodyGetsPastTheirRoleOnAnyRoute", "TestAnAPITokenCantGiveAProof"),
		one("a temporary token is a full one", access, "case who.Temporary && !a.temporary():", "case false:", "TestNobodyGetsPastTheirRoleOnAnyRoute"),
		one("an operator runs a Compose file", "internal/api/compose.go", `adminFresh, "POST /api/compose/{project}/up"`, `operator, "POST /api/compose/{project}/up"`,
			"TestNobodyGetsPastTheirRoleOnAnyRoute"),
		one("volumes go without a role", "internal/api/containers.go", "if in.Volumes {", "if false {", "TestNobodyGetsPastTheirRoleOnAnyRoute"),
		one("an old proof is a proof", access, "if a.fresh() {", "if false {",
			"TestAStolenSessionNeedsAFreshProofForWhatMattersMost", "TestAStolenSessionCantLockItsOwnerOut"),
		{
			"a password is a proof with a factor, too", []edit{
				{"internal/auth/account.go", "if id.HasFactor {\n\t\treturn until, ErrUseFactor\n\t}", ""},
				{"internal/auth/account.go", "if u.HasFactor {\n\t\treturn until, ErrUseFactor\n\t}", "_ = u"},
			},
			[]string{"TestAStolenSessionNeedsAFreshProofForWhatMattersMost"},
		},
		one("a session alone enrols a factor", access, "enrolling access = \"temporary+\"", "enrolling access = \"temporary\"",
			"TestAStolenSessionCantLockItsOwnerOut"),
		one("sessions are anybody's to end", sessionRows, "\"remove a session of \"+user, `DELETE FROM sessions WHERE id = ? AND user = ?`",
			"\"remove a session of \"+user, `DELETE FROM sessions WHERE id = ? AND ? <> ''`", "TestNobodyReachesAnotherUsersSessionsTokensAndPasskeys"),
		one("nobody needs a token", guard, "if need == anyone {", "if true {", "TestThereIsNoAccountThatNobodyMade"),
		one("a viewer sees the configuration", routes, "handle(r, administrator, \"GET /api/config\"", "handle(r, viewer, \"GET /api/config\"",
			"TestNoSpellingOfAPathGetsPastItsRole"),
	}
}

func limits() []mutation {
	const middleware, routes = "internal/api/middleware.go", "internal/api/routes.go"
	return []mutation{
		one("headers may be long", server, "maxHeaderBytes    = 64 << 10", "maxHeaderBytes    = 64 << 20", "TestHeadersAndBodiesHaveLimits"),
		one("bodies may be long", routes, "maxBody = 1 << 20", "maxBody = 1 << 30", "TestHeadersAndBodiesHaveLimits"),
		one("a field may be there twice", "internal/api/format.go", "if here.names[folded] {", "if false {", "TestABodyThatIsNotWhatTheRouteTakesIsRefused"),
		one("a broken body leaves the connection open", middleware, "c.Request = c.Request.WithContext(c.Request.Context())\n", "",
			"TestARequestCantHideAnother"),
		one("bodies may take an hour", routes, "bodyTimeout = 10 * time.Second", "bodyTimeout = time.Hour", "TestSlowRequestsAreCutAndHoldNobodyUp"),
		one("headers may take an hour", server, "readHeaderTimeout = 10 * time.Second", "readHeaderTimeout = time.Hour",
			"TestSlowRequestsAreCutAndHoldNobodyUp", "TestAThousandIdleConnectionsCostLittleAndAreReleased"),
		one("sockets have no limit", socket, "socketsEach    = 64 ", "socketsEach    = 64_000 ", "TestSocketsHaveALimitAndAreReleased"),
		one("sockets are counted for good", socket, "\t\tk.all--\n\t\tif k.each[user]--; k.each[user] == 0 {", "\t\tif k.each[user] == 0 {",
			"TestSocketsHaveALimitAndAreReleased"),
		one("an engine that is away is a fault of ours", "internal/app/scans.go",
			"return ported(p.scanner.Refresh(ctx), api.ErrUnknownContainer)", "return p.scanner.Refresh(ctx)", "TestNoPathLeadsElsewhere"),
	}
}

func secrets() []mutation {
	return []mutation{
		one("names don't betray secrets", "internal/secrets/secrets.go", `return value != "" && (Name(name) || Value(value))`, "return Value(value)",
			"TestNoAnswerAndNoLineOfTheLogHasASecret"),
		one("values don't betray secrets", "internal/secrets/secrets.go", `return value != "" && (Name(name) || Value(value))`, `return value != "" && Name(name)`,
			"TestNoAnswerAndNoLineOfTheLogHasASecret"),
		one("what is typed as a name is logged", "internal/api/audit.go", "if errors.As(err, &wrong) && wrong.KnownUser {", "if errors.As(err, &wrong) {",
			"TestNoAnswerAndNoLineOfTheLogHasASecret"),
		one("guesses are stored as they were typed", guess, "return hex.EncodeToString(sum[:])", "_ = hex.EncodeToString(sum[:])\n\treturn account",
			"TestNoAnswerAndNoLineOfTheLogHasASecret"),
		{
			"a name is part of a message, as it is", []edit{
				{login, "s.log.Warn(\"a password was wrong\",", "s.log.Warn(\"a password was wrong: \"+r.Username,"},
				{"internal/logging/core.go", "entry.Message = escapeControls(entry.Message)", "_ = escapeControls"},
			},
			[]string{"TestNothingThatIsSentForgesALineOfTheLog"},
		},
		one("what can't be printed is kept", "internal/audit/audit.go", "if r == utf8.RuneError || !unicode.IsPrint(r) {", "if r == utf8.RuneError && !unicode.IsPrint(r) {",
			"TestNothingThatIsSentForgesAnEntryOfTheAuditLog"),
		one("a device is called what it likes", guard, "Agent: printable(c.Request.UserAgent()),", "Agent: c.Request.UserAgent(),",
			"TestNothingThatIsSentForgesAnEntryOfTheAuditLog"),
	}
}
