package config

import (
	"slices"
	"strconv"
)

// Validate checks a Config that was made by hand; one from Load is checked.
// It reads no files. The error is an *Error with everything that is wrong.
func (c *Config) Validate() error { return asError(c.inspect(nil, nil)) }

// inspect applies the rules of every key, and then those between keys. Inputs
// are for the messages; keys in bad have been reported and are left out.
func (c *Config) inspect(inputs map[string]input, bad map[string]bool) []Problem {
	var problems []Problem
	table, given := map[string]Key{}, map[string]input{}
	for _, k := range Keys() {
		table[k.Name] = k
		in, ok := inputs[k.Name]
		if !ok {
			in = input{key: k.Name, text: showText(c.value(k.Name))}
		}
		given[k.Name] = in
		if bad[k.Name] {
			continue
		}
		for _, f := range k.check(c.value(k.Name)) {
			problems = append(problems, k.problem(in, f))
		}
	}
	for _, rule := range contradictions() {
		if slices.ContainsFunc(rule.keys, func(key string) bool { return bad[key] }) {
			continue
		}
		for _, found := range rule.find(c) {
			problems = append(problems, table[found.key].problem(given[found.key], found.fault))
		}
	}
	return problems
}

// contradiction is a rule between several keys.
type contradiction struct {
	keys []string
	find func(*Config) []finding
}

// finding is a fault and the key to blame, one that somebody has set.
type finding struct {
	key   string
	fault fault
}

func contradictions() []contradiction {
	return []contradiction{
		{[]string{"server.tls.cert", "server.tls.key"}, func(c *Config) []finding {
			return both("server.tls.cert", "server.tls.key", c.Server.TLS.Cert != "", c.Server.TLS.Key != "",
				"server.tls.cert and server.tls.key, or neither")
		}},
		{[]string{"user.name", "user.password", "user.passwordFile"}, func(c *Config) []finding {
			return both("user.name", "user.password", c.User.Name != "", c.User.Password != "",
				"a user name (USER_NAME) and a password (USER_PASSWORD or USER_PASSWORD_FILE), or neither")
		}},
		{[]string{"policy.skipLabels", "policy.forceLabels"}, func(c *Config) []finding {
			return c.disjoint("policy.forceLabels", "policy.skipLabels")
		}},
		{[]string{"policy.skipLabels", "policy.onlyLabels"}, func(c *Config) []finding {
			return c.disjoint("policy.onlyLabels", "policy.skipLabels")
		}},
	}
}

// both: neither or both of two keys may be set.
func both(first, second string, hasFirst, hasSecond bool, allowed string) []finding {
	switch {
	case hasFirst && !hasSecond:
		return []finding{{first, fault{what: second + " is missing", allowed: allowed}}}
	case hasSecond && !hasFirst:
		return []finding{{second, fault{what: first + " is missing", allowed: allowed}}}
	}
	return nil
}

// disjoint: no label may be in both lists. If one of them is the default, the
// other is to blame.
func (c *Config) disjoint(key, other string) []finding {
	if c.sources[key] == "" && c.sources[other] != "" {
		key, other = other, key
	}
	labels, _ := c.value(key).([]string)
	others, _ := c.value(other).([]string)
	var found []finding
	for i, label := range labels {
		if slices.Contains(others, label) {
			found = append(found, finding{key, fault{path: []string{strconv.Itoa(i)}, value: label,
				what: "this label is in " + other + " too", allowed: "a label in one of the two"}})
		}
	}
	return found
}
