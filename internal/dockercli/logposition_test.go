package dockercli

import (
	"testing"
	"time"
)

// The engine may write a message of one stream after later ones of the other:
// a log that is gone on with must not repeat those.
func TestALogIsGoneOnWithAfterItsLatestMessage(t *testing.T) {
	at := func(n int) time.Time { return time.Unix(100, int64(n)) }
	s := &LogStream{}
	for _, n := range []int{1, 2, 3, 4, 4, 2} { // 2: "end" on stderr, late
		if !s.unread(at(n)) {
			t.Errorf("%d is left out", n)
		}
	}
	if want := (LogPosition{At: at(4), Seen: 2}); s.Position() != want {
		t.Fatalf("%+v", s.Position())
	}
	next := &LogStream{o: LogOptions{After: s.Position()}, pos: s.Position(), skip: s.Position().Seen}
	var given []int
	for _, n := range []int{1, 2, 3, 4, 4, 2, 4, 5} {
		if next.unread(at(n)) {
			given = append(given, n)
		}
	}
	if len(given) != 2 || given[0] != 4 || given[1] != 5 {
		t.Errorf("given again: %v", given)
	}
}
