package composefile

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"github.com/watch-docker/watch-docker/internal/secrets"
)

const (
	hiddenAs   = "***"
	hiddenWord = 4 // letters and digits from which on a part of a secret is hidden
	mostHidden = 500
)

// hidden are the values of variables that look like secrets, and the words they
// are made of: compose-go takes values apart, and may complain of a part.
type hidden struct {
	values, words []string
	many          bool // more than can be looked for
}

// secretsOf are those of all env files that were read.
func (c *checker) secretsOf() hidden {
	ordinary := []string{"", "true", "false", "none", "null"} // no secrets, whatever has them
	seen := map[string]bool{}
	var h hidden
	add := func(e env) {
		for name, value := range e.values {
			if value = strings.TrimSpace(value); !slices.Contains(ordinary, strings.ToLower(value)) && !seen[value] && secrets.Is(name, value) {
				seen[value] = true
				h.values = append(h.values, value)
			}
		}
	}
	for _, e := range append(c.envs, c.env) {
		add(e)
	}
	for _, value := range h.values {
		h.words = append(h.words, words(value)...)
	}
	h.many = len(h.values)+len(h.words) > mostHidden
	for _, list := range [][]string{h.values, h.words} {
		slices.SortFunc(list, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	}
	return h
}

// words are the parts of a text that may betray it.
func words(text string) []string {
	return slices.DeleteFunc(strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }),
		func(w string) bool { return len(w) < hiddenWord })
}

// Conceal puts *** in place of the values of variables that look like secrets.
// A text that is one of them is hidden however short.
func (r Report) Conceal(text string) string {
	if text == "" {
		return ""
	}
	if r.hidden.many || slices.Contains(r.hidden.values, text) {
		return hiddenAs
	}
	return without(text, slices.DeleteFunc(slices.Clone(r.hidden.values), func(v string) bool { return len(v) < hiddenWord }))
}

// ConcealParts does so, and with the words that such values are made of.
func (r Report) ConcealParts(text string) string {
	if len(r.hidden.values) == 0 {
		return text
	}
	return without(r.Conceal(text), r.hidden.words)
}

// without puts *** in place of each of some texts, in small letters or big ones.
func without(text string, all []string) string {
	low := strings.Map(lower, text)
	for _, part := range all {
		part = strings.Map(lower, part)
		for from := 0; part != ""; {
			i := strings.Index(low[from:], part)
			if i < 0 {
				break
			}
			i += from
			text, low = text[:i]+hiddenAs+text[i+len(part):], low[:i]+hiddenAs+low[i+len(part):]
			from = i + len(hiddenAs)
		}
	}
	return text
}

// lower leaves lengths as they are.
func lower(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// conceal keeps secrets out of what the report says in words.
func (r *Report) conceal() {
	if len(r.hidden.values) == 0 {
		return
	}
	for i := range r.Problems {
		r.Problems[i].Message = r.ConcealParts(r.Problems[i].Message)
	}
	for i := range r.Notes {
		r.Notes[i].Message = r.ConcealParts(r.Notes[i].Message)
	}
}

// isFilled tells whether something of a value came from variables: it isn't
// quoted then, whatever their names.
func (n *node) isFilled() bool {
	return n != nil && (n.filled || slices.ContainsFunc(n.items, (*node).isFilled))
}

// quotes tells whether compose-go's words have a value of variables in them, or
// a part of one.
func (c *checker) quotes(said string) bool {
	said = strings.Map(lower, said)
	for value := range c.looked {
		value = strings.Map(lower, value)
		for _, part := range append(words(value), value) {
			if part = strings.TrimLeft(part, "0"); len(part) >= hiddenWord-1 && strings.Contains(said, part) {
				return true
			}
		}
	}
	return false
}

// colon puts a reason behind a sentence, if there is one.
func colon(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// literal is a reason that a text gives as it stands there, and none that has
// variables of its own.
func literal(reason, text string) string {
	if strings.Contains(text, "?"+reason+"}") {
		return reason
	}
	return ""
}
