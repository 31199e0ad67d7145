package twofa

import (
	"crypto/rand"
	"slices"
	"sync"
	"time"
)

// How much waits at once. Beyond it the oldest goes: of the same session, of
// the same owner, and in all that of the owner with the most.
const (
	mostOfSession = 4
	mostOfOwner   = 64
	mostInAll     = 4096
)

// pending is what was begun and waits for its end, in memory. What one owner
// begins doesn't push out what another has begun, unless that one has more.
type pending[T any] struct {
	now  func() time.Time
	life time.Duration

	mu      sync.Mutex
	waiting []begun[T] // oldest first
}

type begun[T any] struct {
	id, owner, session string
	until              time.Time
	what               T
}

func newPending[T any](now func() time.Time, life time.Duration) *pending[T] {
	return &pending[T]{now: now, life: life}
}

// add gives the id by which take finds it. Session may be empty.
func (p *pending[T]) add(owner, session string, what T) (id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
	p.makeRoom(owner, session)
	b := begun[T]{id: rand.Text(), owner: owner, session: session, until: p.now().Add(p.life), what: what}
	p.waiting = append(p.waiting, b)
	return b.id
}

// replace removes what the owner's session has begun before it adds.
func (p *pending[T]) replace(owner, session string, what T) {
	p.mu.Lock()
	p.waiting = slices.DeleteFunc(p.waiting, func(b begun[T]) bool { return b.owner == owner && b.session == session })
	p.mu.Unlock()
	p.add(owner, session, what)
}

// take gives what was begun, once: it is gone after that, whatever comes of it.
func (p *pending[T]) take(id string) (what T, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
	i := slices.IndexFunc(p.waiting, func(b begun[T]) bool { return b.id == id })
	if i < 0 {
		return what, false
	}
	what = p.waiting[i].what
	p.waiting = slices.Delete(p.waiting, i, i+1)
	return what, true
}

// of gives what the owner's session has begun, and leaves it there.
func (p *pending[T]) of(owner, session string) (what T, id string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
	i := slices.IndexFunc(p.waiting, func(b begun[T]) bool { return b.owner == owner && b.session == session })
	if i < 0 {
		return what, "", false
	}
	return p.waiting[i].what, p.waiting[i].id, true
}

func (p *pending[T]) expire() {
	now := p.now()
	p.waiting = slices.DeleteFunc(p.waiting, func(b begun[T]) bool { return !now.Before(b.until) })
}

func (p *pending[T]) makeRoom(owner, session string) {
	if session != "" {
		p.trim(mostOfSession, func(b begun[T]) bool { return b.owner == owner && b.session == session })
	}
	p.trim(mostOfOwner, func(b begun[T]) bool { return b.owner == owner })
	if len(p.waiting) >= mostInAll {
		greediest := p.greediest()
		p.trim(0, func(b begun[T]) bool { return b.owner == greediest })
	}
}

// trim removes the oldest of those that match, if they are most or more.
func (p *pending[T]) trim(most int, matches func(begun[T]) bool) {
	n := 0
	for _, b := range p.waiting {
		if matches(b) {
			n++
		}
	}
	if n > 0 && n >= most {
		i := slices.IndexFunc(p.waiting, matches)
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
}

// greediest is the owner who has begun the most; of several, the one who was first.
func (p *pending[T]) greediest() (owner string) {
	count := map[string]int{}
	for _, b := range p.waiting {
		count[b.owner]++
	}
	most := 0
	for _, b := range p.waiting {
		if count[b.owner] > most {
			owner, most = b.owner, count[b.owner]
		}
	}
	return owner
}
