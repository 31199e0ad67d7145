package registry

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChallengesAreReadAsTheyAreMeant(t *testing.T) {
	bearer := Challenge{Scheme: "bearer", Realm: "https://auth.example.com/token", Service: "reg"}
	for name, c := range map[string]struct {
		headers []string
		want    Challenge
	}{
		"plain":                    {[]string{`Bearer realm="https://auth.example.com/token",service="reg"`}, bearer},
		"any order":                {[]string{`Bearer scope="repository:a:pull,push",service="reg",realm="https://auth.example.com/token"`}, bearer},
		"any case and blanks":      {[]string{"BEARER  Realm = \"https://auth.example.com/token\" ,\tSERVICE=reg"}, bearer},
		"no quotes":                {[]string{`Bearer realm=https://auth.example.com/token,service=reg`}, bearer},
		"after Basic":              {[]string{`Basic realm="x, Bearer y", Bearer realm="https://auth.example.com/token",service="reg"`}, bearer},
		"after a bare scheme":      {[]string{`Negotiate, Bearer realm="https://auth.example.com/token",service="reg"`}, bearer},
		"after a token68":          {[]string{`Negotiate YWJj==, Bearer realm="https://auth.example.com/token",service="reg"`}, bearer},
		"in the second header":     {[]string{`Basic realm="x"`, `Bearer realm="https://auth.example.com/token",service="reg"`}, bearer},
		"before Basic":             {[]string{`Bearer realm="https://auth.example.com/token",service="reg", Basic realm="x"`}, bearer},
		"empty elements":           {[]string{`, ,Bearer ,realm="https://auth.example.com/token", ,service="reg",`}, bearer},
		"escapes":                  {[]string{`Bearer realm="https://auth.example.com/token",service="a\"b\\c, d"`}, Challenge{"bearer", bearer.Realm, `a"b\c, d`}},
		"Basic alone":              {[]string{`Basic realm="x"`}, Challenge{Scheme: "basic"}},
		"Basic without parameters": {[]string{`Basic`}, Challenge{Scheme: "basic"}},
		"Bearer without realm":     {[]string{`Bearer service="reg"`, `basic`}, Challenge{Scheme: "basic"}},
		"no closing quote":         {[]string{`Bearer service="reg",realm="https://auth.example.com/token`}, bearer},
		"neither":                  {[]string{`Digest realm="x",nonce="y"`}, Challenge{}},
		"rubbish":                  {[]string{`=",;="\`}, Challenge{}},
		"nothing":                  {nil, Challenge{}},
	} {
		got := choose(parseChallenges(http.Header{"Www-Authenticate": c.headers}))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

func FuzzParseChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://auth.example.com/token",service="reg",scope="repository:a:pull"`)
	f.Add(`Basic realm="a\"b", Negotiate YWJj==, Bearer realm=x`)
	f.Add(`=",;="\`)
	f.Fuzz(func(t *testing.T, header string) {
		for _, c := range parseChallenges(http.Header{"Www-Authenticate": {header}}) {
			if c.scheme == "" {
				t.Errorf("%q: a challenge without a scheme", header)
			}
			// What was read, written down properly, is read the same.
			written := c.scheme
			for name, value := range c.params {
				written += " " + name + "=" + quote(value) + ","
			}
			again := parseChallenges(http.Header{"Www-Authenticate": {written}})
			if len(again) != 1 || !cmp.Equal(c.params, again[0].params) {
				t.Errorf("%q: %v, then from %q: %v", header, c, written, again)
			}
		}
	})
}

func quote(s string) string {
	quoted := `"`
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			quoted += `\`
		}
		quoted += s[i : i+1]
	}
	return quoted + `"`
}
