package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
)

// A report is what the suite found.
type report struct {
	Updater string   `json:"updater"`
	Engine  string   `json:"engine"`
	API     string   `json:"api"`
	Date    string   `json:"date"`
	Seconds int      `json:"seconds"`
	Results []result `json:"results"`
}

type result struct {
	Group  string `json:"group"`
	Case   string `json:"case"`
	Result string `json:"result"`
	Detail string `json:"detail,omitempty"`
}

func (r *report) add(group, name string, v verdict) {
	if v.result == "" {
		v = verdict{fail, "the suite has no verdict"}
	}
	r.Results = append(r.Results, result{group, name, v.result, v.detail})
}

// failed says whether any case failed.
func (r report) exitCode() int {
	for _, one := range r.Results {
		if one.Result == fail {
			return exitFailed
		}
	}
	return exitClean
}

func (r report) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "GROUP\tCASE\tRESULT\tDETAIL")
	for _, one := range r.Results {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", one.Group, one.Case, one.Result, one.Detail)
	}
	_, _ = fmt.Fprintln(w)
	for _, line := range r.summary() {
		_, _ = fmt.Fprintln(w, strings.Join(line, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s\non Docker %s (API %s), %s, %d s\n", r.Updater, r.Engine, r.API, r.Date, r.Seconds)
	return err
}

// summary is a line for each group, and one for all.
func (r report) summary() [][]string {
	counts, order := map[string]map[string]int{}, []string{}
	all := map[string]int{}
	for _, one := range r.Results {
		if counts[one.Group] == nil {
			counts[one.Group], order = map[string]int{}, append(order, one.Group)
		}
		counts[one.Group][one.Result]++
		all[one.Result]++
	}
	line := func(name string, n map[string]int) []string {
		return []string{name, fmt.Sprintf("%d passed", n[pass]), fmt.Sprintf("%d failed", n[fail]), fmt.Sprintf("%d n/a", n[na])}
	}
	var lines [][]string
	for _, name := range order {
		lines = append(lines, line(name, counts[name]))
	}
	return append(lines, line("all", all))
}

func (r report) markdown(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "`%s` on Docker %s (API %s), %s, %d s\n\n| group | case | result | detail |\n|---|---|---|---|\n", r.Updater, r.Engine, r.API, r.Date, r.Seconds)
	for _, one := range r.Results {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", one.Group, one.Case, one.Result, cell(one.Detail))
	}
	b.WriteString("\n| group | passed | failed | n/a |\n|---|---|---|---|\n")
	for _, line := range r.summary() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", line[0], number(line[1]), number(line[2]), number(line[3]))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// compare prints earlier results side by side: "ours=a.json,theirs=b.json".
func compare(out io.Writer, files string) error {
	var names []string
	var reports []report
	for _, part := range strings.Split(files, ",") {
		name, file, ok := strings.Cut(part, "=")
		if !ok {
			return fmt.Errorf("-compare: %q isn't NAME=FILE", part)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("-compare: %w", err)
		}
		var r report
		if err := json.Unmarshal(text, &r); err != nil {
			return fmt.Errorf("-compare: %s: %w", file, err)
		}
		names, reports = append(names, name), append(reports, r)
	}
	var b strings.Builder
	row := func(cells ...string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	row(append([]string{"group", "case"}, names...)...)
	row(strings.Split(strings.Repeat("---,", len(names)+1)+"---", ",")...)
	for _, g := range groups() {
		for _, t := range g.trials {
			cells := []string{g.name, t.name}
			for _, r := range reports {
				cells = append(cells, r.at(g.name, t.name).Result)
			}
			row(cells...)
		}
	}
	totals := []string{"all", "passed / failed / n/a"}
	for _, r := range reports {
		lines := r.summary()
		last := lines[len(lines)-1]
		totals = append(totals, fmt.Sprintf("%s / %s / %s", number(last[1]), number(last[2]), number(last[3])))
	}
	row(totals...)
	b.WriteString("\nWhat was seen in the cases that failed:\n\n")
	for i, r := range reports {
		r.failures(&b, names[i])
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// failures lists what was wrong, and in which cases.
func (r report) failures(b *strings.Builder, name string) {
	cases, order := map[string][]string{}, []string{}
	for _, one := range r.Results {
		if one.Result != fail {
			continue
		}
		if cases[one.Detail] == nil {
			order = append(order, one.Detail)
		}
		cases[one.Detail] = append(cases[one.Detail], one.Group+"/"+one.Case)
	}
	for _, detail := range order {
		fmt.Fprintf(b, "- %s: %s: %s\n", name, strings.Join(cases[detail], ", "), cell(detail))
	}
}

func (r report) at(group, name string) result {
	for _, one := range r.Results {
		if one.Group == group && one.Case == name {
			return one
		}
	}
	return result{Result: "not run"}
}

func number(counted string) string {
	n, _, _ := strings.Cut(counted, " ")
	return n
}

// cell is text in a Markdown table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(text)
}
