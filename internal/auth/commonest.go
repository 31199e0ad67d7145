package auth

import (
	_ "embed"
	"strings"
)

// commonestList has some 9,900 passwords of 8 characters or more in lower
// case, one a line, sorted: the commonest 3,000 of SecLists' "10 million
// password list, top 1,000,000" (MIT licence), which include all of its
// overall commonest 3,000 that are as long, and those of the 20,000 that come
// with Django (BSD-3-Clause; collected by Royce Williams).
//
//go:embed commonest.txt
var commonestList string

// commonest reports whether the password is one that guessers try first,
// whatever its case. The list is looked through where the program has it: a
// map of it would cost a megabyte, and this takes less than a millisecond.
func commonest(password string) bool {
	line := strings.ToLower(password) + "\n"
	return !strings.Contains(password, "\n") &&
		(strings.HasPrefix(commonestList, line) || strings.Contains(commonestList, "\n"+line))
}
