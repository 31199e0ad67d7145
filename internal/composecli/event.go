package composecli

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// Status is how far something is.
type Status string

// What an event says of its subject.
const (
	Working Status = "working"
	Done    Status = "done"
	Warning Status = "warning"
	Failed  Status = "error"
)

// Event is progress of one thing.
type Event struct {
	ID      string // "Container shop-web-1", "Network shop_default", "Image acme/shop:1", a layer's id
	Parent  string // of a layer: "Image acme/shop:1"
	Status  Status
	Text    string // "Creating", "Recreated", "Downloading"
	Details string // "1.2MB", what went wrong
	// Current of Total bytes, or Percent, of a layer; 0 if not told.
	Current, Total int64
	Percent        int
}

// record is a line of `--progress json`: an event, an error, an entry of the
// log, or what a build says.
type record struct {
	ID       string `json:"id"`
	Parent   string `json:"parent_id"`
	Status   string `json:"status"`
	Text     string `json:"text"`
	Details  string `json:"details"`
	Current  int64  `json:"current"`
	Total    int64  `json:"total"`
	Percent  int    `json:"percent"`
	Error    bool   `json:"error"`
	Message  string `json:"message"`
	Level    string `json:"level"`
	Msg      string `json:"msg"`
	Vertexes []struct {
		Name      string  `json:"name"`
		Completed *string `json:"completed"`
		Error     string  `json:"error"`
	} `json:"vertexes"`
	Statuses []json.RawMessage `json:"statuses"`
	Logs     []struct {
		Data []byte `json:"data"`
	} `json:"logs"`
}

// read tells what a line is; it is no record if ok is false.
func read(line string) (r record, ok bool) {
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &r) != nil {
		return record{}, false
	}
	return r, r.ID != "" || r.Error || r.Msg != "" || r.Text != "" || r.isBuild()
}

func (r record) isBuild() bool { return len(r.Vertexes)+len(r.Statuses)+len(r.Logs) > 0 }

// event is the record of something's progress. Since version 5 the status is one
// of four words; before, it was what is the text now, or of a layer the details.
func (r record) event() Event {
	e := Event{
		ID: r.ID, Parent: r.Parent, Text: r.Text, Details: r.Details,
		Current: max(r.Current, 0), Total: max(r.Total, 0), Percent: min(max(r.Percent, 0), 100),
	}
	switch status := Status(strings.ToLower(r.Status)); {
	case r.Status == "Error" && r.Details == "" && r.Text != "Error" && !isWord(r.Text): // what went wrong is the text
		e.Status, e.Text, e.Details = Failed, "Error", r.Text
	case slices.Contains([]Status{Working, Done, Warning, Failed}, status):
		e.Status = status
	case isWord(r.Text):
		e.Status, e.Details = statusOf(r.Text), r.Status
	default:
		e.Status, e.Text, e.Details = statusOf(r.Status), r.Status, r.Text
	}
	return e
}

// isWord knows the words for how far something is.
func isWord(text string) bool {
	return statusOf(text) != Working || strings.HasSuffix(text, "ing") || text == "Pulling fs layer"
}

func statusOf(text string) Status {
	switch text {
	case "Created", "Started", "Running", "Healthy", "Exited", "Restarted", "Stopped", "Killed", "Removed", "Recreated",
		"Built", "Pulled", "Skipped", "Copied", "Download complete", "Already exists", "Pull complete":
		return Done
	case "Warning", "Interrupted":
		return Warning
	case "Error":
		return Failed
	}
	return Working
}

// lines are what is to be shown of a record that is no event.
func (r record) lines() []string {
	switch {
	case r.Msg != "":
		return []string{strings.TrimPrefix(r.Level+": ", ": ") + r.Msg}
	case r.isBuild():
		return r.built()
	}
	return []string{r.Text}
}

func (r record) built() (lines []string) {
	for _, v := range r.Vertexes {
		switch {
		case v.Error != "":
			lines = append(lines, v.Name+": "+v.Error)
		case v.Completed != nil:
			lines = append(lines, v.Name)
		}
	}
	for _, log := range r.Logs {
		lines = append(lines, strings.Split(strings.TrimRight(string(log.Data), "\n"), "\n")...)
	}
	return lines
}

// ansi are the sequences that colour and move on a terminal.
var ansi = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]`)

// clean makes what a command wrote fit to be shown: what a carriage return
// overwrites on a terminal is gone, and so is everything that isn't text.
func clean(raw []byte) string {
	line := strings.ToValidUTF8(strings.TrimRight(string(raw), "\r\n"), "\uFFFD")
	line = ansi.ReplaceAllString(line, "")
	if i := strings.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	return strings.TrimRight(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, line), " \t")
}
