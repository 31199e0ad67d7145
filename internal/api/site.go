package api

import (
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// site is where the browser has us: what cookies, passkeys and origins go by.
type site struct {
	scheme string // http, https
	host   string // lower case, with its port unless that is the scheme's own
}

func (s site) origin() string { return s.scheme + "://" + s.host }

// domain is the host without its port: an RPID, if it is a name.
func (s site) domain() string {
	if name, _, err := net.SplitHostPort(s.host); err == nil {
		return name
	}
	return strings.Trim(s.host, "[]")
}

// longestHost is a name's 253 bytes (RFC 1035, 2.3.4), a final dot and a port.
const longestHost = 253 + 1 + 6

// siteShape is what a host may look like before it reaches a header or an RPID.
var siteShape = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$`)

func isSite(host string) bool { return len(host) <= longestHost && siteShape.MatchString(host) }

func newSite(scheme, host string) (site, bool) {
	scheme, host, _ = strings.Cut(originOf(scheme, host), "://")
	return site{scheme: scheme, host: host}, isSite(host)
}

// requested is the site by what the request says, and by what a trusted proxy
// says about it.
func (s *server) requested(r *http.Request) (site, bool) {
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if s.trusted(remoteIP(r)) {
		if forwarded := strings.ToLower(first(r.Header.Get("X-Forwarded-Proto"))); forwarded == "http" || forwarded == "https" {
			scheme = forwarded
		}
		for _, name := range []string{"X-Forwarded-Host", "X-Original-Host"} {
			if forwarded := first(r.Header.Get(name)); forwarded != "" {
				host = forwarded
				break
			}
		}
	}
	at, ok := newSite(scheme, host)
	if ok && s.BaseURL != nil && strings.EqualFold(s.BaseURL.Hostname(), at.domain()) {
		at.scheme = strings.ToLower(s.BaseURL.Scheme) // a proxy that doesn't say so
		at, ok = newSite(at.scheme, at.host)
	}
	return at, ok
}

// siteOf is where passkeys are made and used: server.baseURL, unless the
// request came by another name that is allowed.
func (s *server) siteOf(r *http.Request) site {
	at, ok := s.requested(r)
	if s.BaseURL == nil || ok && slices.Contains(s.allowedDomains(), at.domain()) {
		return at
	}
	base, _ := newSite(s.BaseURL.Scheme, s.BaseURL.Host)
	return base
}

// noPasskeys is why passkeys can't work on a site; "" if they can.
func (s *server) noPasskeys(at site) string {
	domain := at.domain()
	allowed := s.allowedDomains()
	switch {
	case !isSite(at.host):
		return "The address in the request is no host name."
	case isIP(domain):
		return "Passkeys belong to a host name, and this is an IP address: open the page by a name."
	case at.scheme != "https" && domain != "localhost" && !strings.HasSuffix(domain, ".localhost"):
		return "Passkeys need HTTPS: set server.tls, or use a proxy that speaks it and name that in server.trustedProxies or its URL in server.baseURL."
	case len(allowed) > 0 && !slices.Contains(allowed, domain):
		return "twofa.allowedDomains doesn't name " + domain + "."
	}
	return ""
}

func (s *server) allowedDomains() []string {
	if s.AllowedDomains == nil {
		return nil
	}
	return s.AllowedDomains()
}

// ownOrigin reports whether a page of this origin is our own, or one that may
// act for its user: exactly, with scheme and port.
func (s *server) ownOrigin(r *http.Request, origin string) bool {
	if at, ok := s.requested(r); ok && origin == at.origin() {
		return true
	}
	return slices.Contains(s.CORSOrigins, origin) || s.BaseURL != nil && origin == originOf(s.BaseURL.Scheme, s.BaseURL.Host)
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

func remoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// first of several, as each proxy on the way added one.
func first(list string) string {
	before, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(before)
}
