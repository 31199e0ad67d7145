package composecli_test

import (
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/watch-docker/watch-docker/internal/composecli"
)

// said runs a command that writes something on standard error, and gives what
// is told of it.
func said(t *testing.T, what string) (events []composecli.Event, lines []string) {
	t.Helper()
	cli, p, dir := fake(t, "cat $T/said >&2")
	if err := os.WriteFile(dir+"/said", []byte(what), 0o600); err != nil {
		t.Fatal(err)
	}
	err := cli.Do(t.Context(), p, composecli.Action{Kind: composecli.Up}, func(e composecli.Event) { events = append(events, e) }, func(l string) { lines = append(lines, l) })
	if err != nil {
		t.Fatal(err)
	}
	return events, lines
}

func TestProgressIsUnderstoodOfEveryVersion(t *testing.T) {
	for line, want := range map[string]composecli.Event{
		// 5.x
		`{"id":"Container a-1","status":"Working","text":"Creating"}`:             {ID: "Container a-1", Status: composecli.Working, Text: "Creating"},
		`{"id":"Container a-1","status":"Done","text":"Recreated"}`:               {ID: "Container a-1", Status: composecli.Done, Text: "Recreated"},
		`{"id":"Image x","status":"Warning","text":"Interrupted"}`:                {ID: "Image x", Status: composecli.Warning, Text: "Interrupted"},
		`{"id":"Image x","status":"Error","text":"Error","details":"not found"}`:  {ID: "Image x", Status: composecli.Failed, Text: "Error", Details: "not found"},
		`{"id":"Container a-1","status":"Error","text":"port is already in use"}`: {ID: "Container a-1", Status: composecli.Failed, Text: "Error", Details: "port is already in use"},
		`{"id":"f1","parent_id":"Image x","status":"Working","text":"Downloading","details":"1kB","current":10,"total":40,"percent":25}`: {
			ID: "f1", Parent: "Image x", Status: composecli.Working, Text: "Downloading", Details: "1kB", Current: 10, Total: 40, Percent: 25},
		`{"id":"f1","status":"Working","text":"Extracting","current":-1,"total":-2,"percent":900}`: {ID: "f1", Status: composecli.Working, Text: "Extracting", Percent: 100},
		// 2.x
		`{"id":"Container a-1","status":"Creating"}`:                            {ID: "Container a-1", Status: composecli.Working, Text: "Creating"},
		`{"id":"Container a-1","status":"Started"}`:                             {ID: "Container a-1", Status: composecli.Done, Text: "Started"},
		`{"id":"Container a-1","status":"Error"}`:                               {ID: "Container a-1", Status: composecli.Failed, Text: "Error"},
		`{"id":"web","text":"Error","status":"denied"}`:                         {ID: "web", Status: composecli.Failed, Text: "Error", Details: "denied"},
		`{"id":"f1","parent_id":"web","text":"Downloading","status":"[=> ] 1"}`: {ID: "f1", Parent: "web", Status: composecli.Working, Text: "Downloading", Details: "[=> ] 1"},
		`{"id":"f1","parent_id":"web","text":"Pull complete"}`:                  {ID: "f1", Parent: "web", Status: composecli.Done, Text: "Pull complete"},
	} {
		events, lines := said(t, line)
		if diff := cmp.Diff([]composecli.Event{want}, events); diff != "" || len(lines) > 0 {
			t.Errorf("%s: %s %v", line, diff, lines)
		}
	}
}

func TestWhatIsNoProgressIsOutput(t *testing.T) {
	for text, want := range map[string][]string{
		"plain\n":   {"plain"},
		"no end":    {"no end"},
		"\n\n  \n":  nil,
		"{not json": {"{not json"},
		`{"id":7}`:  {`{"id":7}`},
		`{}`:        {`{}`},
		"\x1b[1;31mred\x1b[0m \x1b]0;title\x07plain\x1b(B": {"red plain"},
		"10%\r20%\r100%\r\n":           {"100%"},
		"bad \xff\xfe utf-8":           {"bad \uFFFD utf-8"},
		"bell\a, nul\x00, c1\u009b31m": {"bell, nul, c131m"},
		`{"level":"warning","msg":"The \"A\" variable is not set.","time":"2026-01-01T00:00:00Z"}`: {`warning: The "A" variable is not set.`},
		`{"tail":true,"text":"2.x says this"}`:                                                     {"2.x says this"},
		`{"vertexes":[{"digest":"sha256:1","name":"[1/2] FROM a","started":"x"}]}`:                 nil,
		`{"vertexes":[{"name":"[1/2] FROM a","completed":"x"},{"name":"[2/2] RUN b","completed":"x","error":"exit code 1"}]}` + "\n" +
			`{"logs":[{"vertex":"sha256:1","stream":1,"data":"b25lCnR3bwo="}]}` + "\n" + `{"statuses":[{"id":"reading"}]}`: {"[1/2] FROM a", "[2/2] RUN b: exit code 1", "one", "two"},
	} {
		events, lines := said(t, text)
		if diff := cmp.Diff(want, lines); diff != "" || len(events) > 0 {
			t.Errorf("%q: %s %v", text, diff, events)
		}
	}
}

func FuzzWhatIsSaid(f *testing.F) {
	for _, seed := range []string{`{"id":"a","status":"Done","text":"x"}`, "\x1b[31m\xff\r\n", `{"error":true,"message":"\u001b[1m"}`, `{"logs":[{"data":"AAE="}]}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		composecli.Heard(text, func(shown string) {
			if !utf8.ValidString(shown) || strings.ContainsFunc(shown, func(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\n' }) {
				t.Errorf("%q is shown as %q", text, shown)
			}
		})
	})
}
