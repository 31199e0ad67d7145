package main

import "slices"

// mutation is one defence taken out, and the tests that must see it. Where one
// defence stands behind another, it takes several edits.
type mutation struct {
	name  string
	edits []edit
	tests []string
}

// edit replaces a text that a file has once.
type edit struct{ file, old, new string }

// mutations is the table; doc/security.md says what was seen.
func mutations() []mutation {
	return slices.Concat(enrolment(), guessing(), codes(), passkeys(), tokens(), origins(), forwarding(), roles(), setup(), limits(), secrets())
}

const (
	factorsAPI   = "internal/api/factors.go"
	guard        = "internal/api/guard.go"
	login        = "internal/auth/login.go"
	guess        = "internal/auth/guess.go"
	sessionRows  = "internal/store/sessions.go"
	factorRows   = "internal/store/factors.go"
	ceremony     = "internal/twofa/ceremony.go"
	verification = "internal/twofa/assertion.go"
	socket       = "internal/api/socket.go"
	site         = "internal/api/site.go"
	server       = "internal/app/serve.go"
)

func one(name, file, old, with string, tests ...string) mutation {
	return mutation{name, []edit{{file, old, with}}, tests}
}

func enrolment() []mutation {
	mayEnrol := edit{factorsAPI, "if who.Temporary && who.HasFactor {", "if false {"}
	onlyFirst := edit{factorRows, "case has && e.First:", "case false:"}
	again := edit{"internal/api/routes.go", "if who != anyone && method != http.MethodGet {", "if false {"}
	allEnd := edit{login, "return s.renew(ctx, u, id, s.newSession(u.Name, from, verified), from)", addSession("s.newSession(u.Name, from, verified)")}
	return []mutation{
		{
			"a temporary token may begin to enrol", []edit{mayEnrol},
			[]string{
				"TestAPasswordAloneCantEnrolACodeGeneratorOfItsOwn", "TestAPasswordAloneCantEnrolAPasskeyOfItsOwn",
				"TestAPasskeyOfAnotherDomainStillKeepsThePasswordFromEnrolling",
			},
		},
		one("a passkey is no factor where it doesn't work", sessionRows,
			" OR EXISTS (SELECT 1 FROM passkeys WHERE passkeys.user = sessions.user)", "",
			"TestAPasswordAloneCantEnrolAPasskeyOfItsOwn", "TestAPasskeyOfAnotherDomainStillKeepsThePasswordFromEnrolling"),
		{
			"a late enrolment is finished", []edit{mayEnrol, onlyFirst, allEnd},
			[]string{"TestAnEnrolmentBegunWithAPasswordCantBeFinishedOnceTheOwnerHasAFactor"},
		},
		{
			"the first factor isn't looked at in the transaction", []edit{again, onlyFirst, allEnd},
			[]string{"TestOfManyWhoEnrolAFirstFactorAtOnceOneGetsIn"},
		},
		{"a token is looked at once", []edit{again}, []string{"TestARequestThatIsHeldBackEndsWithItsSession"}},
		one("a temporary token isn't spent", login,
			"if err := s.store.ReplaceSession(ctx, id.SessionID, x); err != nil {", "if err := s.store.AddSession(ctx, x); err != nil {",
			"TestATemporaryTokenIsSpentWithTheFactor"),
		one("a full session keeps the temporary one's id", login,
			"if err := s.store.ReplaceSession(ctx, id.SessionID, x); err != nil {",
			"x.ID = id.SessionID\n\tif err := s.store.ReplaceSession(ctx, id.SessionID, x); err != nil {",
			"TestACookieSetBeforeTheLoginIsNotTakenOver"),
		{
			"other sessions outlive a new factor", []edit{allEnd, {
				"internal/auth/session.go", "case !x.Temporary && !x.Verified && (x.HasFactor || s.required()):", "case false:",
			}},
			[]string{"TestEveryTokenEndsWithAChangedFactor"},
		},
	}
}

// addSession begins a session beside the others.
func addSession(x string) string {
	return "y := " + x + "\n\tif err := s.store.AddSession(ctx, y); err != nil {\n\t\treturn Login{}, err\n\t}\n\treturn s.signedIn(ctx, u, y, from)"
}

func guessing() []mutation {
	return []mutation{
		one("codes are counted by session", factorsAPI,
			"s.Auth.Guess(ctx, auth.GuessFactor, who.Username, who.client())", "s.Auth.Guess(ctx, auth.GuessFactor, who.SessionID, auth.Client{})",
			"TestGuessingCodesIsSlowedWhateverTheTokenAndTheAddress"),
		one("guesses at a second factor are free", guess,
			"func byAccountsFactor() slowing", "func byAccountsFactor() slowing { return slowing{5000, time.Hour} }\n\nfunc byAccountsFactorBefore() slowing",
			"TestGuessingCodesIsSlowedWhateverTheTokenAndTheAddress", "TestGuessingAtStepUpAndAtTheOldPasswordIsSlowed"),
		one("wrong recovery codes and passkeys don't count", factorsAPI,
			"case wrong(twofa.ErrCode), wrong(twofa.ErrRecoveryCode), wrong(twofa.ErrPasskey), wrong(twofa.ErrCeremony), wrong(twofa.ErrCloned):",
			"case wrong(twofa.ErrCode):", "TestGuessesAtRecoveryCodesAndPasskeysCountAsGuessesAtCodes"),
		one("a restart forgets guesses", "internal/auth/auth.go",
			"guesses: newGuessing(d.Now, guesses)", "guesses: newGuessing(d.Now, guesses[:0])", "TestARestartForgetsNoGuess"),
		one("guesses at a password are free by account", guess,
			"func byAccount() slowing", "func byAccount() slowing { return slowing{5000, 30 * time.Second} }\n\nfunc byAccountBefore() slowing",
			"TestGuessingAPasswordIsSlowedByAccountWhereverItComesFrom"),
		one("guesses are free by network", guess,
			"func byNetwork() slowing", "func byNetwork() slowing { return slowing{5000, 15 * time.Minute} }\n\nfunc byNetworkBefore() slowing",
			"TestGuessingPasswordsIsSlowedByAddressWhateverTheAccount", "TestForgedHeadersDontEvadeTheThrottle"),
		one("a known device guesses freely", guess,
			"func byDevice() slowing", "func byDevice() slowing { return slowing{5000, 15 * time.Minute} }\n\nfunc byDeviceBefore() slowing",
			"TestADeviceThatHasSignedInBeforeCantGuessForever"),
		one("an account is held for long", guess,
			"func byAccount() slowing", "func byAccount() slowing { return slowing{5, 30 * time.Hour} }\n\nfunc byAccountBefore() slowing",
			"TestTenThousandSignInAttemptsAMinuteKeepNobodyOut"),
		one("no device is known", login,
			"device := s.device(ctx, r.Username, r.DeviceKey)", "device := \"\"", "TestTenThousandSignInAttemptsAMinuteKeepNobodyOut"),
		{
			"networks push accounts out", []edit{
				{guess, "if g.many[kind] < mostRemembered {", "if len(g.tries) < mostRemembered {"},
				{guess, "if k.kind != kind {", "if false {"},
				{guess, "if g.many[kind] >= mostRemembered {", "if len(g.tries) >= mostRemembered {"},
			},
			[]string{"TestGuessesFromManyNetworksDontMakeThoseAtAnAccountForgotten"},
		},
		one("an unknown user is named", login,
			"return store.User{}, &CredentialsError{KnownUser: known}",
			"return store.User{}, map[bool]error{true: &CredentialsError{KnownUser: true}, false: store.ErrNoUser}[known]",
			"TestAWrongSignInDoesntTellWhetherTheUserExists"),
		one("an unknown user costs no hash", login,
			"return store.User{PasswordHash: s.passwords.nobodys}, false, nil", "return store.User{}, false, &CredentialsError{}",
			"TestAWrongSignInDoesntTellByItsTime"),
	}
}

func codes() []mutation {
	return []mutation{
		one("a code works again", factorRows, "WHERE user = ? AND secret = ? AND last_step < ?`", "WHERE user = ? AND secret = ? AND ? > 0`",
			"TestACodeWorksOnce", "TestOneCodeFiftyTimesAtOnceWorksOnce"),
		one("a recovery code works again", factorRows,
			"`DELETE FROM recovery_codes WHERE user = ? AND hash = ?`", "`UPDATE recovery_codes SET hash = hash WHERE user = ? AND hash = ?`",
			"TestARecoveryCodeWorksOnceAlsoTwiceAtOnce"),
	}
}

func setup() []mutation {
	const file = "internal/auth/setup.go"
	return []mutation{
		one("the first user needn't be the first", "internal/store/users.go",
			"SELECT ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM users)", "SELECT ?, ?, ?, ?, ?",
			"TestOfTwentyWhoSetUpAtOnceOneBecomesTheAdministrator"),
		one("guesses at the set-up token are free", file,
			"guess, err := s.Guess(ctx, GuessSetup, \"\", r.Client)", "guess, err := Guess{}, error(nil)", "TestTheSetUpTokenCantBeGuessed"),
		one("any set-up token is right", file, "if want == nil {\n\t\treturn false\n\t}", "if want != nil {\n\t\treturn true\n\t}",
			"TestTheSetUpTokenCantBeGuessed"),
		one("the set-up token is the same at each start", file, "token := newSecret()", "token := \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
			"TestTheSetUpTokenIsShownOnceAndChangesWithEveryStart"),
	}
}
