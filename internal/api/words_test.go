package api

import (
	"slices"
	"testing"
)

func TestACommandIsSplitIntoWords(t *testing.T) {
	for text, want := range map[string][]string{
		"ls -la":                      {"ls", "-la"},
		"  a\tb \n c ":                {"a", "b", "c"},
		`sh -c "echo 'x y' \"z\" \n"`: {"sh", "-c", `echo 'x y' "z" \n`},
		`a\ b c\\d`:                   {"a b", `c\d`},
		`'it''s' "" x"y"'z'`:          {"its", "", "xyz"},
		`'a\b' "$HOME" ~ * ;|&`:       {`a\b`, "$HOME", "~", "*", ";|&"},
		"":                            nil,
	} {
		if got, err := words(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`"`, `'a`, `a\`, `"a\"`} {
		if got, err := words(text); err == nil {
			t.Errorf("%s: %q", text, got)
		}
	}
}

func TestTheNameOfADownloadIsSafe(t *testing.T) {
	for name, want := range map[string]string{
		"a.txt": "attachment; filename=a.txt", `..\"x".html`: `attachment; filename=__x_.html`, "a\r\nX: y": `attachment; filename="aX_ y"`,
		"ü\x00\xff/x": "attachment; filename*=utf-8''%C3%BC__x", "..": "attachment; filename=file",
	} {
		if got := attachment(name); got != want {
			t.Errorf("%q: %s; want %s", name, got, want)
		}
	}
}
