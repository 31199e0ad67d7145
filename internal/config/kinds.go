package config

import (
	"errors"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// This file reads what a source says into the type of the field. Each reader
// gives the zero value for an empty text; whether that may be is for checks.go.

// single reads one value from its text.
func single[T any](in input, allowed string, convert func(string) (T, error)) (T, []fault) {
	var zero T
	s, ok := in.scalar()
	if !ok {
		return zero, wrong("a single value is wanted, not a list or a section", allowed)
	}
	value, err := convert(s)
	if err != nil {
		return zero, wrong(err.Error(), allowed)
	}
	return value, nil
}

func text(in input) (string, []fault) {
	return single(in, "", func(s string) (string, error) { return s, nil })
}

// secret keeps blanks at both ends: they may be meant.
func secret(in input) (Secret, []fault) {
	if in.node == nil {
		return Secret(in.text), nil
	}
	if in.node.Kind != yaml.ScalarNode {
		return "", wrong("a single value is wanted, not a list or a section", "")
	}
	return Secret(in.node.Value), nil
}

func boolean(in input) (bool, []fault) {
	return single(in, "true, false", func(s string) (bool, error) {
		switch strings.ToLower(s) {
		case "true", "yes", "on", "1":
			return true, nil
		case "false", "no", "off", "0":
			return false, nil
		}
		return false, errors.New("neither true nor false")
	})
}

func integer(in input) (int, []fault) {
	return single(in, "a whole number", func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, errors.New("not a whole number")
		}
		return n, nil
	})
}

func duration(in input) (time.Duration, []fault) {
	return single(in, "a number with its unit, such as 30s, 10m or 1h30m", func(s string) (time.Duration, error) {
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			return 0, errors.New("the unit is missing: add s, m or h, as in " + s + "m")
		}
		if n, ok := strings.CutSuffix(s, "d"); ok {
			if days, err := strconv.Atoi(n); err == nil {
				return 0, errors.New("there is no unit d: a day is 24h, so write " + strconv.Itoa(days*24) + "h")
			}
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, errors.New("not a duration")
		}
		return d, nil
	})
}

func absoluteURL(in input) (*url.URL, []fault) {
	return single(in, allowedBaseURL, func(s string) (*url.URL, error) {
		if s == "" {
			return nil, nil
		}
		u, err := url.Parse(s)
		if err != nil {
			return nil, errors.New("not a URL")
		}
		u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
		return u, nil
	})
}

// folder is made absolute: the program's working directory may change, and
// two ways to write one folder must not look like two.
func folder(in input) (string, []fault) {
	return single(in, "the path of a folder", func(s string) (string, error) {
		if s == "" {
			return "", nil
		}
		return filepath.Abs(s)
	})
}

// folders may be a single one as well: its key has no plural.
func folders(in input) ([]string, []fault) {
	list, faults := elements(in, true)
	var paths []string
	for i, s := range list {
		path, err := filepath.Abs(s)
		if err != nil {
			faults = append(faults, under(strconv.Itoa(i), []fault{{value: s, what: err.Error()}})...)
		}
		paths = append(paths, path)
	}
	return paths, faults
}

func texts(in input) ([]string, []fault) { return elements(in, false) }

func networks(in input) ([]netip.Prefix, []fault) {
	list, faults := elements(in, false)
	var prefixes []netip.Prefix
	for i, s := range list {
		prefix, ok := network(s)
		if !ok {
			faults = append(faults, under(strconv.Itoa(i), []fault{{value: s, what: "neither an address nor a network",
				allowed: "a network such as 172.16.0.0/12, or a single address"}})...)
			continue
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, faults
}

// network reads a CIDR, or a single address as a network of one.
func network(s string) (netip.Prefix, bool) {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		return prefix.Masked(), true
	}
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(addr, addr.BitLen()), true
}

// origins are brought into the form that browsers send, so that they compare as strings.
func origins(in input) ([]string, []fault) {
	list, faults := elements(in, false)
	for i, s := range list {
		u, err := url.Parse(s)
		if err != nil || !isWeb(u) || *u != (url.URL{Scheme: u.Scheme, Host: u.Host}) {
			faults = append(faults, under(strconv.Itoa(i), []fault{{value: s, what: "not an origin",
				allowed: "scheme://host[:port] with http or https and nothing after it, such as https://dash.example.org"}})...)
			continue
		}
		list[i] = origin(u)
	}
	return list, faults
}

// elements is a list of texts: a sequence in the file, separated by commas elsewhere.
func elements(in input, orSingle bool) ([]string, []fault) {
	if in.node == nil {
		return split(in.text), nil
	}
	if in.node.Kind == yaml.ScalarNode && orSingle {
		return split(in.node.Value), nil
	}
	if in.node.Kind != yaml.SequenceNode {
		return nil, wrong("a list is wanted", "one entry a line, each after '- ', or [a, b]")
	}
	var list []string
	var faults []fault
	for i, item := range in.node.Content {
		item = resolve(item)
		s := strings.TrimSpace(item.Value)
		if item.Kind != yaml.ScalarNode || s == "" {
			faults = append(faults, under(strconv.Itoa(i), wrong("a text is wanted", "plain text; in quotes if it holds ': '"))...)
			continue
		}
		list = append(list, s)
	}
	return list, faults
}

func split(s string) []string {
	var list []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// pairs is a map of texts: a mapping in the file, a=b,c=d elsewhere. Keys stay as they are written.
func pairs(in input) (map[string]string, []fault) {
	if in.node == nil {
		return pairsOf(split(in.text))
	}
	entries, faults := mapping(in.node)
	result := map[string]string{}
	for _, e := range entries {
		s, ok := input{node: e.value}.scalar()
		if !ok || s == "" {
			faults = append(faults, under(e.name, wrong("a text is wanted", ""))...)
			continue
		}
		result[e.name] = s
	}
	return orNone(result), faults
}

func pairsOf(list []string) (map[string]string, []fault) {
	var faults []fault
	result := map[string]string{}
	for _, item := range list {
		name, value, ok := strings.Cut(item, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch _, twice := result[name]; {
		case !ok || name == "" || value == "":
			faults = append(faults, fault{value: item, what: "not a pair", allowed: "host=mirror, several separated by commas"})
		case twice:
			faults = append(faults, fault{value: item, what: name + " is there twice", allowed: "one mirror for a host"})
		default:
			result[name] = value
		}
	}
	return orNone(result), faults
}

// entry is one line of a mapping in the file.
type entry struct {
	name  string
	value *yaml.Node
}

// mapping lists a section's entries in their order. Entries without a value
// are left out; a name that is there twice, or is no text, is a fault.
func mapping(node *yaml.Node) ([]entry, []fault) {
	if node.Kind != yaml.MappingNode {
		return nil, []fault{{hidden: true, what: "a section is wanted", allowed: "name: value, one a line, indented"}}
	}
	var entries []entry
	var faults []fault
	var seen []string
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], resolve(node.Content[i+1])
		switch {
		case name.Kind != yaml.ScalarNode:
			faults = append(faults, fault{hidden: true, what: "a name in it is no plain text"})
		case slices.Contains(seen, name.Value):
			faults = append(faults, fault{hidden: true, path: []string{name.Value}, what: "is there twice"})
		case !isNull(value):
			entries = append(entries, entry{name.Value, value})
		}
		seen = append(seen, name.Value)
	}
	return entries, faults
}

// orNone: an empty map and none mean the same, and must compare as the same.
func orNone(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return m
}
