package config

import (
	"encoding/json"
	"fmt"
	"io"
)

// masked stands for a secret wherever one would be shown.
const masked = "***"

// Secret is text that must not be shown. Every way of printing or encoding it
// gives "***" (or nothing, if it is empty); only Reveal gives the text.
type Secret string

// Reveal is the text itself.
func (s Secret) Reveal() string { return string(s) }

// String is "***", or "" for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// GoString is String in quotes.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// Format covers every verb: %d or %x would otherwise print the text.
func (s Secret) Format(f fmt.State, verb rune) {
	switch {
	case verb == 'q' || verb == 'v' && f.Flag('#'):
		_, _ = io.WriteString(f, `"`+s.String()+`"`)
	default:
		_, _ = io.WriteString(f, s.String())
	}
}

// MarshalJSON encodes String.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalText encodes String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML encodes String.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }
