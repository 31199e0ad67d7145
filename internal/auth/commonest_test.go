package auth

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTheCommonestPasswordsAreKnown(t *testing.T) {
	all := strings.Split(strings.TrimSuffix(commonestList, "\n"), "\n")
	if len(all) < 3000 || !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("%d passwords; sorted: %v", len(all), slices.IsSorted(all))
	}
	for _, p := range all {
		if utf8.RuneCountInString(p) < ShortestPassword || p != strings.ToLower(strings.TrimSpace(p)) {
			t.Errorf("%q can't be met", p)
		}
	}
	for _, p := range []string{all[0], all[len(all)/2], all[len(all)-1], "password", "PassWord1", "12345678", "qwertyuiop", "iloveyou", "trustno1", "1Q2W3E4R"} {
		if !commonest(p) {
			t.Errorf("%q isn't among them", p)
		}
	}
}

func TestOtherPasswordsAreNotTakenForCommonOnes(t *testing.T) {
	first, rest, _ := strings.Cut(commonestList, "\n")
	second, _, _ := strings.Cut(rest, "\n")
	for _, p := range []string{"", "\n", first + "\n" + second, "password\n", "\npassword", "assword1", "passwor", "password ",
		"correct horse battery", "kJ8#vQ2!mZ", strings.Repeat("é", 256)} {
		if commonest(p) {
			t.Errorf("%q is taken for one", p)
		}
	}
}

func BenchmarkCommonest(b *testing.B) {
	for b.Loop() {
		commonest("zzzzzzzzzz is none of them")
	}
}
