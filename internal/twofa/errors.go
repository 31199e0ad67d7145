package twofa

import "errors"

var (
	// ErrCode: the one-time code is wrong, or was used before; which isn't said.
	ErrCode = errors.New("the code is wrong")
	// ErrRecoveryCode: the recovery code is wrong, or was used before.
	ErrRecoveryCode = errors.New("the recovery code is wrong")
	// ErrCeremony: what was begun isn't there: unknown, expired, used, or of
	// another user, session, purpose or site.
	ErrCeremony = errors.New("this has expired; begin again")
	// ErrPasskey: the authenticator's answer doesn't hold. What it is wrapped
	// with is for the log.
	ErrPasskey = errors.New("the passkey's answer doesn't hold")
	// ErrCloned: the passkey's counter didn't grow, so that two of it may exist.
	// It is refused, and nothing is stored.
	ErrCloned = errors.New("the passkey may have been copied")
	// ErrHasFactor: a first factor can't be set up, since there is one.
	ErrHasFactor = errors.New("there is a second factor already")
	// ErrNoFactor: there is no second factor, or none of this method.
	ErrNoFactor = errors.New("there is no such second factor")
	// ErrNoPasskeyHere: the user has no passkey for this site.
	ErrNoPasskeyHere = errors.New("there is no passkey for this site")
	// ErrNoCredential: the user has no passkey of this id.
	ErrNoCredential = errors.New("there is no such passkey")
	// ErrTooManyCredentials: the user has MostCredentials passkeys.
	ErrTooManyCredentials = errors.New("there are too many passkeys; remove one first")
	// ErrCredentialTaken: this passkey is registered already.
	ErrCredentialTaken = errors.New("this passkey is registered already")
	// ErrName: the name isn't 1 to 64 printable characters.
	ErrName = errors.New("a passkey's name has 1 to 64 printable characters")
)

// UnavailableError says that passkeys can't work on a site, and why, for its user.
type UnavailableError struct{ Reason string }

func (e *UnavailableError) Error() string { return "passkeys can't work here: " + e.Reason }
