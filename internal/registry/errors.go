package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/go-resty/resty/v2"
)

// The stable codes of an Error.
const (
	// CodeUnauthorized: the registry or its token server refuses the credentials, or asks for some.
	CodeUnauthorized = "registry_unauthorized"
	// CodeNotFound: the registry has no such repository or tag.
	CodeNotFound = "registry_not_found"
	// CodeRateLimited: the registry asked to be left alone until Error.Until.
	CodeRateLimited = "registry_rate_limited"
	// CodeUnreachable: no connection, no answer in time, TLS that can't be trusted, or a 5xx.
	CodeUnreachable = "registry_unreachable"
	// CodeBadResponse: an answer that isn't what the distribution specification promises.
	CodeBadResponse = "registry_bad_response"
	// CodeNoMatchingPlatform: the index has no image for the platform asked for.
	CodeNoMatchingPlatform = "no_matching_platform"
	// CodeCredentials: the credentials could not be looked up (broken config.json, failing helper).
	CodeCredentials = "registry_credentials" //nolint:gosec // a code, not a credential
)

// Error is every failure that this package reports, but for a context that
// ended (which comes back as that context's error).
type Error struct {
	// Code is one of the Code constants.
	Code string
	// Host is the registry as references name it: "docker.io", "127.0.0.1:5000".
	Host string
	// Status is the HTTP status that it answered with, or 0.
	Status int
	// Reference is what was asked for: "docker.io/library/nginx:1.27".
	Reference string
	// Until is set with CodeRateLimited: no request goes to Host before.
	Until time.Time
	// Message is a sentence for people that says what to do next. It holds no
	// credentials and no URL's query.
	Message string
	// Err is the cause, or nil.
	Err error

	// hostwide: what failed is the host, so its other references in the same
	// batch would fail the same way and aren't asked for.
	hostwide bool
	// missing is the tag or digest that the registry says it doesn't have.
	missing string
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func errorf(code, host, format string, args ...any) *Error {
	return &Error{Code: code, Host: host, Message: fmt.Sprintf(format, args...)}
}

// of returns the error as that of one reference: failures of a host are shared.
func of(reference string, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	own := *e
	own.Reference = reference
	return &own
}

// ended reports whether err is a context's rather than a registry's: whatever
// a registry does comes as an *Error.
func ended(err error) bool {
	_, ok := errors.AsType[*Error](err)
	return err != nil && !ok
}

func hasCode(err error, codes ...string) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	for _, code := range codes {
		if e.Code == code {
			return true
		}
	}
	return false
}

// statusError says what an answer means that is neither 200 nor handled before.
func statusError(h *host, name string, resp *resty.Response) *Error {
	var e *Error
	switch status := resp.StatusCode(); {
	case status == http.StatusNotFound:
		e = notFound(h.name, name, said(resp))
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		e = errorf(CodeUnauthorized, h.name, "%s denies access to %s%s. %s", h.name, name, said(resp), h.adviceOnAccess())
	case status >= 500:
		e = errorf(CodeUnreachable, h.name, "%s is in trouble (%s%s). Nothing to do here but wait.", h.name, statusText(status), said(resp))
	default:
		e = errorf(CodeBadResponse, h.name, "%s answered %s to a question for %s%s. Is it a registry?", h.name, statusText(status), name, said(resp))
	}
	e.Status = resp.StatusCode()
	return e
}

func notFound(host, name, said string) *Error {
	e := errorf(CodeNotFound, host, "%s does not exist at %s: the tag or the repository is missing%s. Check the spelling, and whether it was deleted there.", name, host, said)
	e.Status = http.StatusNotFound
	return e
}

// lacksManifest: a 404 that speaks of the manifest, or says nothing closer
// (Harbor's NOT_FOUND). NAME_UNKNOWN and others speak of the repository, which
// may only be hidden from who asked.
func lacksManifest(resp *resty.Response) bool {
	var body struct{ Errors []struct{ Code string } }
	_ = json.Unmarshal(resp.Body(), &body)
	for _, e := range body.Errors {
		if e.Code != "MANIFEST_UNKNOWN" && e.Code != "NOT_FOUND" {
			return false
		}
	}
	return resp.StatusCode() == http.StatusNotFound
}

// lacks reports whether err is a registry's word that it doesn't have a digest.
func lacks(err error, digest string) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.missing == digest
}

func statusText(status int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status)))
}

// said quotes the registry's own words from an error answer, as ": …" or
// nothing. Only the specified form is quoted (distribution specification,
// "Error Codes"); a page of HTML tells nobody anything.
func said(resp *resty.Response) string {
	var body struct {
		Errors []struct{ Code, Message string }
		// Token servers answer in OAuth2's form as well (RFC 6749, 5.2), or with "details".
		ErrorDescription string `json:"error_description"`
		Details          string
	}
	if err := json.Unmarshal(resp.Body(), &body); err != nil {
		return ""
	}
	words := []string{body.ErrorDescription, body.Details}
	for _, e := range body.Errors {
		words = append(words, strings.TrimSpace(e.Code+" "+e.Message))
	}
	for _, w := range words {
		if w = printable(w, 200); w != "" {
			return ": " + strings.TrimRight(w, ".")
		}
	}
	return ""
}

// reason is an error's text for a message: short, on one line, without the
// user and password of a URL (a proxy's may be in it).
func reason(err error) string {
	userinfo := regexp.MustCompile(`//[^/\s]*@`)
	return strings.TrimRight(printable(userinfo.ReplaceAllString(err.Error(), "//"), 300), ".")
}

// printable makes a stranger's text safe to show: one line of at most max
// characters.
func printable(s string, max int) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	runes := []rune(strings.TrimSpace(clean))
	if len(runes) > max {
		return string(runes[:max-1]) + "…"
	}
	return string(runes)
}
