package app

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/scanner"
)

// table renders a scan for people: what can be updated first.
type table struct {
	now    time.Time
	width  int // of the terminal in columns; 0: unlimited
	colour bool
}

// word is how a status reads, in which colour (an ANSI code), and its place.
type word struct {
	text   string
	colour string
	order  int
}

func words() map[scanner.Status]word {
	return map[scanner.Status]word{
		scanner.UpdateAvailable: {"update", "33", 0},
		scanner.Failed:          {"error", "31", 1},
		scanner.Unknown:         {"unknown", "35", 2},
		scanner.UpToDate:        {"up to date", "32", 3},
		scanner.Skipped:         {"skipped", "2", 4},
	}
}

const (
	columnGap    = 2
	narrowestWhy = 30
)

func (t table) render(result scanner.Result) string {
	if len(result.Containers) == 0 {
		return "There are no containers on this engine.\n"
	}
	shown := slices.DeleteFunc(slices.Clone(result.Containers), func(c scanner.ContainerStatus) bool {
		return c.Status == scanner.Unknown && !c.Running
	})
	slices.SortStableFunc(shown, func(a, b scanner.ContainerStatus) int {
		return cmp.Compare(words()[a.Status].order, words()[b.Status].order)
	})
	rows := [][]string{{"NAME", "IMAGE", "STATUS", "AGE", "WHY"}}
	for _, c := range shown {
		rows = append(rows, []string{c.Name, shorten(c.Image), words()[c.Status].text, age(t.now.Sub(c.CreatedAt)), c.Summary})
	}
	var b strings.Builder
	if len(shown) > 0 {
		t.write(&b, rows, shown)
		b.WriteByte('\n')
	}
	b.WriteString(count(result.Containers, len(result.Containers)-len(shown)))
	return b.String()
}

func (t table) write(b *strings.Builder, rows [][]string, shown []scanner.ContainerStatus) {
	widths := t.widths(rows)
	for i, row := range rows {
		for j, cell := range row {
			cell = clip(cell, widths[j])
			pad := strings.Repeat(" ", widths[j]-utf8.RuneCountInString(cell)+columnGap)
			if j == len(row)-1 {
				pad = ""
			}
			switch {
			case i == 0:
				cell = t.paint(cell, "1")
			case j == 2:
				cell = t.paint(cell, words()[shown[i-1].Status].colour)
			}
			b.WriteString(cell + pad)
		}
		b.WriteByte('\n')
	}
}

// widths fits the columns into the terminal: first the reason is cut, then
// the image.
func (t table) widths(rows [][]string) []int {
	widths := make([]int, len(rows[0]))
	total := columnGap * (len(widths) - 1)
	for j := range widths {
		for _, row := range rows {
			widths[j] = max(widths[j], utf8.RuneCountInString(row[j]))
		}
		total += widths[j]
	}
	if t.width == 0 {
		return widths
	}
	for _, column := range []struct{ index, least int }{{4, narrowestWhy}, {1, 20}, {0, 10}} {
		if over := total - t.width; over > 0 {
			cut := max(0, min(over, widths[column.index]-column.least))
			widths[column.index] -= cut
			total -= cut
		}
	}
	return widths
}

func (t table) paint(s, code string) string {
	if !t.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// shorten cuts a digest within a reference to what people compare.
func shorten(image string) string {
	const digits = 12
	name, digest, ok := strings.Cut(image, "sha256:")
	if !ok || len(digest) <= digits {
		return image
	}
	return name + "sha256:" + digest[:digits]
}

func clip(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// age is a duration as people say it, in its largest unit.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 2*day:
		return fmt.Sprintf("%dh", int(d.Hours()))
	case d < 2*365*day:
		return fmt.Sprintf("%dd", int(d/day))
	}
	return fmt.Sprintf("%dy", int(d/(365*day)))
}

// count is the last line: "6 containers: 1 can be updated, 2 up to date, …".
func count(all []scanner.ContainerStatus, hidden int) string {
	n := map[scanner.Status]int{}
	held := 0 // policy wants them left alone, unless somebody insists
	for _, c := range all {
		n[c.Status]++
		if c.Status == scanner.UpdateAvailable && c.Policy.ByHand == policy.WithForce {
			held++
		}
	}
	var counts []string
	for _, s := range []struct {
		n    int
		says string
	}{
		{n[scanner.UpdateAvailable] - held, "can be updated"}, {held, "held back"}, {n[scanner.Failed], "could not be checked"},
		{n[scanner.UpToDate], "up to date"}, {n[scanner.Skipped], "skipped"},
		{n[scanner.Unknown] - hidden, "unknown"}, {hidden, "stopped and not checked"},
	} {
		if s.n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", s.n, s.says))
		}
	}
	noun := "containers"
	if len(all) == 1 {
		noun = "container"
	}
	return fmt.Sprintf("%d %s: %s\n", len(all), noun, strings.Join(counts, ", "))
}
