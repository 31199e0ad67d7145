package twofa

import (
	"strconv"
	"testing"
	"time"
)

func TestWhatWaitsIsBoundedAndTheGreediestLoses(t *testing.T) {
	p := newPending[int](time.Now, time.Hour)
	modest := p.add("modest", "", 1)
	for i := range mostOfOwner + 1 {
		p.add("greedy", "", i)
	}
	if n := len(p.waiting); n != mostOfOwner+1 {
		t.Errorf("%d wait", n)
	}
	for i := range mostInAll {
		p.add(strconv.Itoa(i), "", i)
	}
	if n := len(p.waiting); n != mostInAll {
		t.Errorf("%d wait", n)
	}
	left := 0
	for _, b := range p.waiting {
		if b.owner == "greedy" {
			left++
		}
	}
	if left > 1 {
		t.Errorf("%d of the greediest are left", left)
	}
	if _, ok := p.take(modest); ok {
		t.Error("beyond the bound, the oldest of equals goes")
	}
}
