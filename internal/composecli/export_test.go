package composecli

// Heard has a report hear a text, and shows all that it tells.
func Heard(text string, show func(string)) {
	r := &report{line: show, on: func(e Event) { show(e.ID + e.Parent + e.Text + e.Details) }}
	s := &splitter{heard: r.heard}
	_, _ = s.Write([]byte(text))
	s.end()
	show(r.failed(1).Message)
}
