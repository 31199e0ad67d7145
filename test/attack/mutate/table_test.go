package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

const root = "../../.."

// The table is run rarely: it takes half an hour. That it can still be run is
// checked here.
func TestEveryMutationCanStillBeMade(t *testing.T) {
	names := map[string]bool{}
	for _, m := range mutations() {
		if names[m.name] {
			t.Errorf("two mutations are called %q", m.name)
		}
		names[m.name] = true
		if len(m.tests) == 0 || len(m.edits) == 0 {
			t.Errorf("%s: no test, or no edit", m.name)
		}
		texts := map[string][]byte{}
		for _, e := range m.edits {
			if texts[e.file] == nil {
				text, err := os.ReadFile(filepath.Join(root, e.file))
				if err != nil {
					t.Fatal(err)
				}
				texts[e.file] = text
			}
			text, err := e.on(texts[e.file])
			if err != nil {
				t.Errorf("%s: %v", m.name, err)
				continue
			}
			texts[e.file] = text
		}
	}
}

func TestEveryAttackHasAMutationAndEveryMutationAnAttack(t *testing.T) {
	attacks := map[string]bool{} // whether a mutation names it
	files, err := filepath.Glob("../*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no attacks", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllSubmatch(text, -1) {
			attacks[string(match[1])] = false
		}
	}
	for _, m := range mutations() {
		for _, test := range m.tests {
			if _, there := attacks[test]; !there {
				t.Errorf("%s names %s, which isn't there", m.name, test)
			}
			attacks[test] = true
		}
	}
	for test, named := range attacks {
		if !named {
			t.Errorf("no mutation is there for %s", test)
		}
	}
}

// doc/security.md names tests and mutations; a reader must find them.
func TestTheDocumentNamesWhatThereIs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "doc/security.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	for _, m := range mutations() {
		for _, test := range m.tests {
			tests[test] = true
		}
		if !regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(m.name) + ` \|`).Match(text) {
			t.Errorf("the document's table lacks the mutation %q", m.name)
		}
	}
	var named []string
	for _, match := range regexp.MustCompile(`\bTest[A-Z]\w+`).FindAll(text, -1) {
		named = append(named, string(match))
		if !tests[string(match)] {
			t.Errorf("the document names %s, which is no attack", match)
		}
	}
	for test := range tests {
		if !slices.Contains(named, test) {
			t.Errorf("the document doesn't name %s", test)
		}
	}
}
