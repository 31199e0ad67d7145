package composefile_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/composefile"
)

func TestSetImageChangesOneWord(t *testing.T) {
	for name, c := range map[string]struct{ before, after string }{
		"plain":      {"services:\n  web:\n    image: nginx:1 # why\n  db:\n    image: nginx:1\n", "services:\n  web:\n    image: shop:2 # why\n  db:\n    image: nginx:1\n"},
		"quoted":     {"services: {web: {image: \"nginx:1\", x-a: 'nginx:1'}}", "services: {web: {image: \"shop:2\", x-a: 'nginx:1'}}"},
		"single":     {"services:\r\n  web:\r\n    image: 'nginx:1'\r\n# end", "services:\r\n  web:\r\n    image: 'shop:2'\r\n# end"},
		"BOM":        {"\ufeffservices: {web: {image: nginx}}\n", "\ufeffservices: {web: {image: shop:2}}\n"},
		"odd letter": {"services:\n  wéb: {image: x}\n  web: {labels: {a: ü}, image: nginx:1}\n", "services:\n  wéb: {image: x}\n  web: {labels: {a: ü}, image: shop:2}\n"},
		"tabs after": {"services:\n  web:\n    image:\tnginx:1\t\n\n\n    ports:   [ \"80:80\" ]\n", "services:\n  web:\n    image:\tshop:2\t\n\n\n    ports:   [ \"80:80\" ]\n"},
		"next line":  {"services:\n  web:\n    image:\n      nginx:1\n", "services:\n  web:\n    image:\n      shop:2\n"},
		"documents":  {"services: {web: {image: a}}\n---\nservices: {web: {image: b}}\n", "services: {web: {image: a}}\n---\nservices: {web: {image: shop:2}}\n"},
		"alias near": {"x-a: &a {restart: always}\nservices:\n  web:\n    <<: *a\n    image: nginx\n", "x-a: &a {restart: always}\nservices:\n  web:\n    <<: *a\n    image: shop:2\n"},
		"same":       {"services: {web: {image: shop:2}}\n", "services: {web: {image: shop:2}}\n"},
	} {
		got, err := composefile.SetImage([]byte(c.before), "web", "shop:2")
		if err != nil || string(got) != c.after {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestSetImageRefusesWhatIsNotOneWordOfTheFile(t *testing.T) {
	for name, c := range map[string]struct {
		file, image string
		want        error
	}{
		"no service":    {"services: {db: {image: a}}", "", composefile.ErrNoService},
		"no services":   {"volumes: {}", "", composefile.ErrNoService},
		"empty":         {"", "", composefile.ErrNoService},
		"no image":      {"services: {web: {build: .}}", "", composefile.ErrNoImage},
		"extends":       {"services: {web: {extends: db}, db: {image: a}}", "", composefile.ErrNoImage},
		"merged":        {"x: &x {image: a}\nservices: {web: {<<: *x}}", "", composefile.ErrShared},
		"alias":         {"x: &x a\nservices: {web: {image: *x}}", "", composefile.ErrShared},
		"anchor":        {"services: {web: {image: &x a}, db: {image: *x}}", "", composefile.ErrShared},
		"whole alias":   {"x: &x {image: a}\nservices: {web: *x}", "", composefile.ErrShared},
		"anchored":      {"services: {web: &x {image: a}, db: *x}", "", composefile.ErrShared},
		"block":         {"services:\n  web:\n    image: >-\n      a\n", "", composefile.ErrNotEditable},
		"escapes":       {`services: {web: {image: "\x61"}}`, "", composefile.ErrNotEditable},
		"tag":           {"services: {web: {image: !!str a}}", "", composefile.ErrNotEditable},
		"a list":        {"services: {web: {image: [a]}}", "", composefile.ErrNotEditable},
		"twice":         {"services: {web: {image: a, image: b}}", "", composefile.ErrNotEditable},
		"no YAML":       {"services: [", "", composefile.ErrNotEditable},
		"invalid UTF-8": {"services: {web: {image: a\xff}}", "", composefile.ErrNotEditable},
		"newline":       {"services: {web: {image: a}}", "a\n    privileged: true", composefile.ErrBadImage},
		"variable":      {"services: {web: {image: a}}", "${A}", composefile.ErrBadImage},
		"comment":       {"services: {web: {image: a}}", "a # b", composefile.ErrBadImage},
		"nothing":       {"services: {web: {image: a}}", " ", composefile.ErrBadImage},
	} {
		if c.image == "" {
			c.image = "shop:2"
		}
		if got, err := composefile.SetImage([]byte(c.file), "web", c.image); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	var in *composefile.InterpolatedError
	_, err := composefile.SetImage([]byte("services: {web: {image: 'shop:${TAG:-1}'}}"), "web", "shop:2")
	if !errors.As(err, &in) || in.Written != "shop:${TAG:-1}" || len(in.Variables) != 1 || in.Variables[0] != "TAG" || !strings.Contains(err.Error(), "TAG") {
		t.Errorf("interpolated: %v", err)
	}
}

func TestVariableForFindsWhatToSet(t *testing.T) {
	for _, c := range []struct{ written, image, want string }{
		{"shop:${TAG}", "shop:2", "TAG=2"}, {"shop:${TAG:-1}", "shop:2", "TAG=2"}, {"$IMAGE", "a/b:c", "IMAGE=a/b:c"}, {"r/${N}/x:1", "r/y/x:1", "N=y"},
		{"shop:${TAG:?set}-alpine", "shop:3-alpine", "TAG=3"}, {"shop:${TAG}", "other:2", ""}, {"${R}:${TAG}", "a:2", ""}, {"shop:1", "shop:2", ""},
		{"${A}${A}", "aa", ""}, {"shop:${TAG}", "shop:", ""}, {"shop:${TAG:+x}", "shop:2", ""}, {"a:${T}$$", "a:1$", "T=1"},
	} {
		name, value, ok := composefile.VariableFor(c.written, c.image)
		if got := name + "=" + value; ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s for %s: %s %t", c.written, c.image, got, ok)
		}
	}
}

func TestSetVariableChangesOneValue(t *testing.T) {
	for name, c := range map[string]struct{ before, value, after string }{
		"plain":        {"A=1\nTAG=1 # why\nB=2\n", "2", "A=1\nTAG=2 # why\nB=2\n"},
		"export":       {"export TAG = 1\n", "2", "export TAG = 2\n"},
		"colon":        {"TAG: 1\n", "2", "TAG: 2\n"},
		"double":       {"TAG=\"1\"\r\nB=2\r\n", "a\"b\\$c\nd", "TAG=\"a\\\"b\\\\\\$c\\nd\"\r\nB=2\r\n"},
		"single":       {"TAG='1' # x\n", "a$b \"c\"", "TAG='a$b \"c\"' # x\n"},
		"single quote": {"TAG='1'\n", "it's", "TAG=\"it's\"\n"},
		"blanks":       {"TAG=1\n", "a b #c", "TAG='a b #c'\n"},
		"lines":        {"A='x\nTAG=1\n'\nTAG=1", "2", "A='x\nTAG=1\n'\nTAG=2"},
		"last":         {"TAG=1\nTAG=2\n", "3", "TAG=1\nTAG=3\n"},
		"new":          {"A=1", "2", "A=1\nTAG=2\n"},
		"new to none":  {"", "2", "TAG=2\n"},
		"new, CRLF":    {"A=1\r\n", "2", "A=1\r\nTAG=2\r\n"},
		"name alone":   {"TAG\nA=1\n", "2", "TAG\nA=1\nTAG=2\n"},
		"comment":      {"# TAG=1\n", "2", "# TAG=1\nTAG=2\n"},
		"BOM":          {"\ufeffTAG=1\n", "2", "\ufeffTAG=2\n"},
		"empty":        {"TAG=\nB=1\n", "2", "TAG=2\nB=1\n"},
		"to empty":     {"TAG=1\nB=1\n", "", "TAG=\nB=1\n"},
		"used":         {"TAG=1\nB=${TAG}\n", "2", "TAG=2\nB=${TAG}\n"},
		"other name":   {"MYTAG=1\nTAGS=2\n", "3", "MYTAG=1\nTAGS=2\nTAG=3\n"},
	} {
		got, err := composefile.SetVariable([]byte(c.before), "TAG", c.value)
		if err != nil || string(got) != c.after {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, c := range map[string][3]string{
		"bad name": {"", "A B", "1"}, "injected": {"", "A=1\nB", "1"}, "no name": {"", "", "1"}, "bad file": {"A='1\n", "A", "2"}, "bytes": {"", "A", "\xff"}, "zero": {"", "A", "\x00"},
	} {
		if got, err := composefile.SetVariable([]byte(c[0]), c[1], c[2]); !errors.Is(err, composefile.ErrVariable) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
