package registry

import (
	"net/http"
	"strings"
)

const (
	schemeBearer = "bearer"
	schemeBasic  = "basic"
)

// authChallenge is one challenge of a WWW-Authenticate header; the scheme and
// the parameters' names are in lower case.
type authChallenge struct {
	scheme string
	params map[string]string
}

// parseChallenges reads every challenge of every WWW-Authenticate header.
//
// A comma separates parameters as well as challenges (RFC 7235, 4.1), so a
// word is a parameter's name if "=" follows it, and a scheme if not. What the
// grammar doesn't allow but occurs in the wild, such as an unquoted URL, is
// read as it was meant; what makes no sense is skipped.
func parseChallenges(header http.Header) []authChallenge {
	var found []authChallenge
	for _, value := range header.Values("WWW-Authenticate") {
		p := challengeParser{rest: value}
		for p.skip(" \t,"); p.rest != ""; p.skip(" \t,") {
			scheme := p.word()
			if scheme == "" {
				p.rest = p.rest[1:] // a stray character
				continue
			}
			found = append(found, authChallenge{strings.ToLower(scheme), p.params()})
		}
	}
	return found
}

type challengeParser struct{ rest string }

func (p *challengeParser) skip(cutset string) { p.rest = strings.TrimLeft(p.rest, cutset) }

// word takes a token (RFC 7230, 3.2.6), which may be empty.
func (p *challengeParser) word() string {
	end := strings.IndexFunc(p.rest, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
	return p.take(end)
}

// take cuts off the first n bytes, or all of them if n is negative.
func (p *challengeParser) take(n int) string {
	if n < 0 {
		n = len(p.rest)
	}
	taken := p.rest[:n]
	p.rest = p.rest[n:]
	return taken
}

// params takes parameters until the next word is a scheme.
func (p *challengeParser) params() map[string]string {
	params := map[string]string{}
	for {
		p.skip(" \t,")
		before := p.rest
		name := strings.ToLower(p.word())
		p.skip(" \t")
		if name == "" || !strings.HasPrefix(p.rest, "=") {
			p.rest = before
			return params
		}
		p.rest = p.rest[1:]
		p.skip(" \t")
		value := p.value()
		if _, twice := params[name]; !twice {
			params[name] = value
		}
	}
}

// value takes a quoted string, or everything up to the next comma or space.
func (p *challengeParser) value() string {
	if !strings.HasPrefix(p.rest, `"`) {
		return p.take(strings.IndexAny(p.rest, " \t,"))
	}
	var value strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			return value.String()
		case c == '\\' && i+1 < len(p.rest):
			i++
			value.WriteByte(p.rest[i])
		default:
			value.WriteByte(c)
		}
	}
	p.rest = "" // no closing quote: all of it is the value
	return value.String()
}

// choose picks the challenge to answer: Bearer if it is offered, else Basic.
// The result is the zero Challenge if neither is.
func choose(challenges []authChallenge) Challenge {
	var chosen Challenge
	for _, c := range challenges {
		switch {
		case c.scheme == schemeBearer && c.params["realm"] != "":
			return Challenge{Scheme: schemeBearer, Realm: c.params["realm"], Service: c.params["service"]}
		case c.scheme == schemeBasic:
			chosen = Challenge{Scheme: schemeBasic}
		}
	}
	return chosen
}
