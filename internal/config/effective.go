package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// Effective is one key of a Config as it counts, for people to read.
type Effective struct {
	// Key is the dotted name.
	Key string
	// Value is the value on one line, secrets masked; empty if there is none.
	Value string
	// Source is "default", file:line or the variable's name. A list that was
	// put together names several.
	Source string
	// Restart says that a change counts only after a restart.
	Restart bool
}

// Effective lists every key with its value and where that came from, in the
// order of Keys.
func (c *Config) Effective() []Effective {
	var rows []Effective
	for _, k := range Keys() {
		source := c.sources[k.Name]
		if source == "" {
			source = sourceDefault
		}
		rows = append(rows, Effective{k.Name, showText(c.value(k.Name)), source, k.Restart})
	}
	return rows
}

// Masked is the configuration as nested maps, as JSON or YAML would have it:
// durations as text, secrets as "***". Nothing in it is shared with c.
func (c *Config) Masked() map[string]any {
	root := map[string]any{}
	for _, k := range Keys() {
		section, path := root, k.path()
		for _, part := range path[:len(path)-1] {
			if section[part] == nil {
				section[part] = map[string]any{}
			}
			section = section[part].(map[string]any) // names of keys are no prefixes of each other
		}
		section[path[len(path)-1]] = show(c.value(k.Name))
	}
	return root
}

// value is the field that a key stands for.
func (c *Config) value(key string) any { return c.field(key).Interface() }

// field finds a field by the tags on the way.
func (c *Config) field(key string) reflect.Value {
	v := reflect.ValueOf(c).Elem()
	for part := range strings.SplitSeq(key, ".") {
		v = byTag(v, part)
	}
	return v
}

func byTag(section reflect.Value, tag string) reflect.Value {
	for i := range section.NumField() {
		if section.Type().Field(i).Tag.Get("mapstructure") == tag {
			return section.Field(i)
		}
	}
	panic("config: no field has the tag " + tag) // a test walks the whole table
}

// show is a value as JSON would have it.
func show(value any) any {
	switch v := value.(type) {
	case Secret:
		return v.String()
	case time.Duration:
		return formatDuration(v)
	case *url.URL:
		if v == nil {
			return ""
		}
		return v.Redacted()
	case []netip.Prefix:
		return showList(v, func(p netip.Prefix) any { return p.String() })
	case []string:
		return showList(v, func(s string) any { return s })
	case []RegistryAuthConfig:
		return showList(v, showAccount)
	case map[string]string:
		return showMap(v, func(s string) any { return s })
	case map[string]TwoFAUserConfig:
		return showMap(v, showFactors)
	}
	return value
}

func showAccount(a RegistryAuthConfig) any {
	shown := map[string]any{"host": a.Host, "username": a.Username, "password": a.Password.String()}
	if a.PasswordFile != "" {
		shown["passwordFile"] = a.PasswordFile
	}
	return shown
}

// showFactors leaves the credentials out: they are nobody's business but the
// importer's, and their number says enough.
func showFactors(u TwoFAUserConfig) any {
	return map[string]any{"method": u.Method, "otpSecret": u.OTPSecret.String(), "isSetup": u.IsSetup,
		"webauthnCredentials": len(u.WebAuthnCredentials)}
}

// showList is never nil: an empty list is [] in JSON.
func showList[T any](list []T, show func(T) any) []any {
	shown := make([]any, 0, len(list))
	for _, item := range list {
		shown = append(shown, show(item))
	}
	return shown
}

func showMap[T any](m map[string]T, show func(T) any) map[string]any {
	shown := make(map[string]any, len(m))
	for name, item := range m {
		shown[name] = show(item)
	}
	return shown
}

// showText is show on one line.
func showText(value any) string {
	switch v := show(value).(type) {
	case string:
		return v
	case []any:
		if len(v) == 0 {
			return ""
		}
		if _, plain := v[0].(string); plain {
			return strings.Trim(strings.ReplaceAll(fmt.Sprintf("%q", v), `" "`, ", "), `[]"`)
		}
		return encode(v)
	case map[string]any:
		if len(v) == 0 {
			return ""
		}
		return encode(v)
	default:
		return fmt.Sprint(v)
	}
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error() // not of texts, numbers, lists and maps
	}
	return string(text)
}

// formatDuration is as people write it: 10m, not 10m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
