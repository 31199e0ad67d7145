package auth

import (
	"context"
	"sync"
	"sync/atomic"
)

// CountHashes counts from now on how often a password is hashed, and by what.
func (s *Service) CountHashes(n *atomic.Int64) {
	derive := s.passwords.derive
	s.passwords.derive = func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte {
		if time == argonTime && memory == argonMemory && threads == argonLanes && len(salt) == saltSize && keyLen == hashSize {
			n.Add(1)
		}
		return derive(password, salt, time, memory, threads, keyLen)
	}
}

// AfterNextHash has something happen once, after the next hash.
func (s *Service) AfterNextHash(happens func()) {
	derive, once := s.passwords.derive, sync.Once{}
	s.passwords.derive = func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte {
		hash := derive(password, salt, time, memory, threads, keyLen)
		var now bool
		once.Do(func() { now = true })
		if now {
			happens()
		}
		return hash
	}
}

// BlockHashes has every hash wait for the channel.
func (s *Service) BlockHashes(until <-chan struct{}, running, most *atomic.Int64) {
	s.passwords.derive = func(_, _ []byte, _, _ uint32, _ uint8, keyLen uint32) []byte {
		n := running.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-until
		running.Add(-1)
		return make([]byte, keyLen)
	}
}

// Remembered is how many accounts, networks and devices are being slowed.
func (s *Service) Remembered() int {
	s.guesses.mu.Lock()
	defer s.guesses.mu.Unlock()
	return len(s.guesses.tries)
}

// Attempt is a login whose password is wrong, without the hashing.
func (s *Service) Attempt(account, address string) error {
	_, err := s.guesses.begin(GuessRequest{Kind: GuessPassword, Account: account, Address: address})
	return err
}

// Save is what Run does every second.
func (s *Service) Save(ctx context.Context) { s.save(ctx) }

const (
	HashesAtOnce   = hashesAtOnce
	MostRemembered = mostRemembered
)
