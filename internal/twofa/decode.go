package twofa

import (
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
)

const (
	leastSecret, mostSecret = 10, 128 // bytes of a one-time code's secret
	mostCredentialID        = 1023    // bytes (WebAuthn, 4)
	mostBytes               = 8 << 10 // of any field
	aaguidSize              = 16
)

// fieldError names what is wrong with a field, and never its value.
type fieldError struct{ field, wrong string }

func (e *fieldError) Error() string { return e.field + " " + e.wrong }

func importedSecret(text string) ([]byte, error) {
	text = strings.TrimRight(strings.ToUpper(without(text, " \t\r\n-")), "=")
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(text)
	if err != nil {
		return nil, &fieldError{"otpSecret", "isn't base32"}
	}
	if len(secret) < leastSecret || len(secret) > mostSecret {
		return nil, &fieldError{"otpSecret", fmt.Sprintf("has %d bytes; %d to %d are allowed", len(secret), leastSecret, mostSecret)}
	}
	return secret, nil
}

// importedRecord reads a credential as the WebAuthn library of an older
// installation had it in memory, however it was written to YAML: names in any
// case, bytes as base64 or as lists of numbers, the credential beside its RPID
// or around it.
//
// Errors: *fieldError.
func importedRecord(entry map[string]any) (r record, rpid, name string, err error) {
	outer := fields(entry)
	inner := outer
	if nested, ok := outer.table("credential"); ok {
		inner = nested
	}
	rpid = strings.ToLower(strings.TrimSpace(outer.text("rpid")))
	if protocol.ValidateRPID(rpid) != nil {
		return record{}, "", "", &fieldError{"rpid", "isn't a host name"}
	}
	r.Imported = true
	if r.Credential, r.FlagsUnknown, err = importedCredential(inner); err != nil {
		return record{}, "", "", err
	}
	if name = strings.TrimSpace(outer.text("name")); !isName(name) {
		name = ""
	}
	return r, rpid, name, nil
}

func importedCredential(f table) (c webauthn.Credential, flagsUnknown bool, err error) {
	if c.ID = f.bytes("id", "credentialid"); len(c.ID) == 0 || len(c.ID) > mostCredentialID {
		return c, false, &fieldError{"credential.id", fmt.Sprintf("isn't 1 to %d bytes", mostCredentialID)}
	}
	c.PublicKey = f.bytes("publickey")
	if !isPublicKey(c.PublicKey) {
		return c, false, &fieldError{"credential.publicKey", "isn't a COSE key"}
	}
	authenticator := f
	if nested, ok := f.table("authenticator"); ok {
		authenticator = nested
	}
	count, ok := authenticator.number("signcount", math.MaxUint32)
	if !ok {
		return c, false, &fieldError{"credential.authenticator.signCount", "isn't a number of 32 bits"}
	}
	c.Authenticator.SignCount = uint32(count) //nolint:gosec // number has checked
	if aaguid := authenticator.bytes("aaguid"); len(aaguid) == aaguidSize {
		c.Authenticator.AAGUID = aaguid
	}
	c.Authenticator.Attachment = protocol.AuthenticatorAttachment(authenticator.text("attachment"))
	c.AttestationType, c.AttestationFormat = f.text("attestationtype"), f.text("attestationformat")
	for _, transport := range f.list("transport", "transports") {
		if t, ok := transport.(string); ok {
			c.Transport = append(c.Transport, protocol.AuthenticatorTransport(t))
		}
	}
	flags := f
	if nested, ok := f.table("flags"); ok {
		flags = nested
	}
	c.Flags.UserPresent, _ = flags.truth("userpresent")
	c.Flags.UserVerified, _ = flags.truth("userverified")
	c.Flags.BackupState, _ = flags.truth("backupstate")
	c.Flags.BackupEligible, ok = flags.truth("backupeligible")
	return c, !ok, nil
}

// isPublicKey reports whether the library will take it for one.
func isPublicKey(key []byte) bool {
	if len(key) == 0 {
		return false
	}
	_, err := webauthncose.ParsePublicKey(key)
	return err == nil
}

// table is a mapping by plain names: in lower case, without - and _.
type table map[string]any

func fields(m map[string]any) table {
	t := make(table, len(m))
	for name, value := range m {
		t[strings.ToLower(without(name, "-_"))] = value
	}
	return t
}

func (t table) table(name string) (table, bool) {
	switch v := t[name].(type) {
	case map[string]any:
		return fields(v), true
	case map[any]any: // as YAML libraries make them
		byText := make(map[string]any, len(v))
		for key, value := range v {
			byText[fmt.Sprint(key)] = value
		}
		return fields(byText), true
	}
	return nil, false
}

func (t table) text(name string) string {
	text, _ := t[name].(string)
	return text
}

func (t table) list(names ...string) []any {
	for _, name := range names {
		if list, ok := t[name].([]any); ok {
			return list
		}
	}
	return nil
}

// truth is ok if there is such a value.
func (t table) truth(name string) (value, ok bool) {
	switch v := t[name].(type) {
	case bool:
		return v, true
	case string:
		value, err := strconv.ParseBool(v)
		return value, err == nil
	}
	return false, false
}

// number is 0 if there is none, and not ok if it isn't one from 0 to most.
func (t table) number(name string, most uint64) (n uint64, ok bool) {
	value, there := t[name]
	if !there || value == nil {
		return 0, true
	}
	return numberOf(value, most)
}

func numberOf(value any, most uint64) (uint64, bool) {
	n, err := strconv.ParseFloat(fmt.Sprint(value), 64) // exact up to 2^53
	if err != nil || n != math.Trunc(n) || n < 0 || n > float64(most) {
		return 0, false
	}
	return uint64(n), true
}

// bytes is empty if there is no such field, or it can't be read as bytes.
func (t table) bytes(names ...string) []byte {
	for _, name := range names {
		switch v := t[name].(type) {
		case []byte:
			return v
		case []any:
			return bytesOfNumbers(v)
		case string:
			return bytesOfText(v)
		}
	}
	return nil
}

func bytesOfNumbers(list []any) []byte {
	if len(list) > mostBytes {
		return nil
	}
	out := make([]byte, len(list))
	for i, value := range list {
		n, ok := numberOf(value, math.MaxUint8)
		if !ok {
			return nil
		}
		out[i] = byte(n) //nolint:gosec // numberOf has checked
	}
	return out
}

// bytesOfText reads base64 in any alphabet, padded or not; what isn't text at
// all comes from YAML's !!binary, which has been decoded already.
func bytesOfText(text string) []byte {
	if len(text) > 2*mostBytes {
		return nil
	}
	plain := strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(without(text, " \t\r\n")), "=")
	if out, err := base64.RawStdEncoding.DecodeString(plain); err == nil {
		return out
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return []byte(text)
	}
	return nil
}

func without(text, unwanted string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(unwanted, r) {
			return -1
		}
		return r
	}, text)
}
