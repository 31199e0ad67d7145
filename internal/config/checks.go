package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/distribution/reference"
)

// This file says what values may be. Every rule is a pure function from a
// value to what is wrong with it.

const (
	day   = 24 * time.Hour
	month = 31 * day
	year  = 365 * day

	allowedBaseURL = "an absolute http or https URL without ? and #, such as https://example.org/watch"
	minPassword    = 8
)

// each applies a rule for one element to a list.
func each[T any](rule func(T) (what, allowed string)) func([]T) []fault {
	return func(list []T) []fault {
		var faults []fault
		for i, item := range list {
			if what, allowed := rule(item); what != "" {
				f := fault{value: fmt.Sprint(item), what: what, allowed: allowed}
				faults = append(faults, under(strconv.Itoa(i), []fault{f})...)
			}
		}
		return faults
	}
}

func numberOf(lowest, highest int) func(int) []fault {
	return func(n int) []fault {
		if n >= lowest && n <= highest {
			return nil
		}
		return wrong("out of range", fmt.Sprintf("%d to %d", lowest, highest))
	}
}

func spanOf(shortest, longest time.Duration) func(time.Duration) []fault {
	return func(d time.Duration) []fault {
		if d >= shortest && d <= longest {
			return nil
		}
		what := "too long"
		switch {
		case d < 0:
			what = "a duration can't be negative"
		case d < shortest:
			what = "too short"
		}
		return wrong(what, formatDuration(shortest)+" to "+formatDuration(longest))
	}
}

func oneOf(choices ...string) func(string) []fault {
	return func(s string) []fault {
		if slices.Contains(choices, s) {
			return nil
		}
		named := slices.DeleteFunc(slices.Clone(choices), func(c string) bool { return c == "" })
		return wrong("there is no such choice", strings.Join(named, ", "))
	}
}

func listenAddress(addr string) []fault {
	const allowed = "host:port or :port, the port from 0 to 65535"
	if isPort(addr) {
		return wrong("a port needs a colon before it, as in :"+addr, allowed)
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil || !isPort(port) {
		return wrong("not an address to listen on", allowed)
	}
	return nil
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

func isWeb(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && (u.Port() == "" || isPort(u.Port()))
}

func baseURL(u *url.URL) []fault {
	switch {
	case u == nil:
		return nil
	case !isWeb(u) || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return wrong("not a URL that the program can be reached at", allowedBaseURL)
	case u.User != nil:
		return wrong("a user name or password doesn't belong here", allowedBaseURL)
	}
	return nil
}

// notEverybody refuses the network of all addresses: whoever is a trusted
// proxy chooses the client address that guessing is slowed down by, and the
// host name that passkeys are bound to.
func notEverybody(p netip.Prefix) (what, allowed string) {
	if p.Bits() == 0 {
		return "this would trust everybody's headers", "the network or address of your proxy, such as 172.18.0.0/16"
	}
	return "", ""
}

func engineHost(host string) []fault {
	const allowed = "unix:///path, tcp://host:port, npipe:////./pipe/name, or nothing for the platform's socket"
	scheme, rest, found := strings.Cut(host, "://")
	switch {
	case host == "":
		return nil
	case found && scheme == "ssh":
		return wrong("ssh is not supported: forward the engine's socket, or use tcp with TLS", allowed)
	case !found || rest == "" || !slices.Contains([]string{"unix", "tcp", "npipe"}, scheme):
		return wrong("not an engine's address", allowed)
	case scheme == "tcp" && strings.Contains(rest, "@"):
		return wrong("a user name or password doesn't belong here", allowed)
	}
	return nil
}

func cronExpression(expr string) []fault {
	if expr == "" {
		return nil
	}
	if _, err := ParseCron(expr); err != nil {
		return wrong(err.Error(), "minute hour day-of-month month day-of-week, such as 0 4 * * *, or @daily")
	}
	return nil
}

func timeZone(name string) []fault {
	if _, err := time.LoadLocation(name); name == "" || err != nil {
		return wrong("not a time zone that is known", "a name such as Europe/Berlin, UTC, or Local")
	}
	return nil
}

func label(s string) (what, allowed string) {
	key, _, _ := strings.Cut(s, "=")
	if key == "" || strings.IndexFunc(key, isSpaceOrControl) >= 0 {
		return "not a label", "key or key=value, no blank in the key"
	}
	return "", ""
}

var tagForm = regexp.MustCompile(`^` + reference.TagRegexp.String() + `$`)

func imageTag(s string) (what, allowed string) {
	if !tagForm.MatchString(s) {
		return "not a tag", "a tag as it stands after the colon of an image, such as latest"
	}
	return "", ""
}

var hostForm = regexp.MustCompile(`^(?:` + reference.DomainRegexp.String() + `)$`)

func registryHost(s string) (what, allowed string) {
	const form = "host or host:port, such as ghcr.io or 127.0.0.1:5000"
	if hostForm.MatchString(s) {
		return "", ""
	}
	if u, err := url.Parse(s); err == nil && hostForm.MatchString(u.Host) {
		return "only the host is wanted: " + u.Host, form
	}
	return "not a registry's host", form
}

func mirrors(m map[string]string) []fault {
	var faults []fault
	for host, mirror := range m {
		if what, allowed := registryHost(host); what != "" {
			faults = append(faults, fault{path: []string{host}, value: mirror, what: what, allowed: allowed})
		}
		bare := strings.TrimPrefix(strings.TrimPrefix(mirror, "https://"), "http://")
		switch {
		case !hostForm.MatchString(bare):
			faults = append(faults, fault{path: []string{host}, value: mirror, what: "not a mirror",
				allowed: "host, host:port or http(s)://host[:port]; an account for it belongs in registry.auth"})
		case strings.EqualFold(bare, host):
			faults = append(faults, fault{path: []string{host}, value: mirror, what: "a registry can't be its own mirror",
				allowed: "another host"})
		}
	}
	slices.SortFunc(faults, func(a, b fault) int { return strings.Compare(a.path[0], b.path[0]) })
	return faults
}

func domain(s string) (what, allowed string) {
	const form = "a host name without scheme, port and path, such as dash.example.org"
	if hostForm.MatchString(s) && !strings.ContainsAny(s, ":[]") {
		return "", ""
	}
	if u, err := url.Parse(s); err == nil && u.Hostname() != "" {
		return "only the host name is wanted: " + u.Hostname(), form
	}
	return "not a host name", form
}

func userName(s string) []fault {
	if len(s) > 64 || strings.IndexFunc(s, unicode.IsControl) >= 0 {
		return wrong("not a user name", "up to 64 bytes without control characters")
	}
	return nil
}

func passwordLength(s Secret) []fault {
	if s != "" && len([]rune(s.Reveal())) < minPassword {
		return wrong("too short", fmt.Sprintf("%d characters or more", minPassword))
	}
	return nil
}

func isSpaceOrControl(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
