package dockercli

import (
	"slices"
	"testing"
	"time"
)

// The engine may write a message of one stream after later ones of the other:
// a log that is gone on with must not repeat those.
func TestALogIsGoneOnWithAfterItsLatestMessage(t *testing.T) {
	at := func(n int) time.Time { return time.Unix(100, int64(n)) }
	log := []int{1, 2, 3, 4, 4, 2} // 2: "end" on stderr, late
	s := &LogStream{first: true}
	for i, n := range log {
		if !s.unread(at(n)) {
			t.Errorf("%d is left out", n)
		}
		from := s.Position()
		next := &LogStream{first: true, o: LogOptions{After: from}, pos: from, skip: from.Seen}
		var given []int
		for _, n := range append(log, 4, 5) {
			if next.unread(at(n)) {
				given = append(given, n)
			}
		}
		if want := append(log[i+1:], 4, 5); !slices.Equal(given, want) {
			t.Errorf("after %d of %v come %v", i+1, log, given)
		}
		if next.Position().Compare(from) <= 0 {
			t.Errorf("%+v comes before %+v", next.Position(), from)
		}
	}
	if want := (LogPosition{At: at(4), Seen: 3}); s.Position() != want {
		t.Fatalf("%+v", s.Position())
	}
}
