package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Limits of names and passwords, in characters.
const (
	ShortestPassword = 8
	LongestPassword  = 256
	LongestName      = 64
)

// What a new user must be.
var (
	ErrName     = fmt.Errorf("a user name has 1 to %d printable characters, and no space at its ends", LongestName)
	ErrPassword = fmt.Errorf("a password has %d to %d characters, is none of the commonest, and isn't the user's name", ShortestPassword, LongestPassword)
	ErrRole     = errors.New("a role is viewer, operator or admin")
)

// argon2id as the OWASP Password Storage Cheat Sheet has it: 19 MiB, two
// passes, one lane.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonLanes  = 1
	saltSize    = 16
	hashSize    = 32
)

const (
	// hashesAtOnce bounds the memory that logins can take: two times 19 MiB,
	// and once more for devices that are known, so that a flood of strangers
	// doesn't hold everybody up.
	hashesAtOnce = 2
	// hashPatience is how long a login waits for its turn.
	hashPatience = 5 * time.Second
)

// passwords hashes them, a few at a time.
type passwords struct {
	turns   chan struct{}
	known   chan struct{} // for devices that are known
	running atomic.Int64
	nobodys string // the hash of no password at all
	derive  func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte
}

func newPasswords() *passwords {
	var random [saltSize + hashSize]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	p := phc{memory: argonMemory, time: argonTime, lanes: argonLanes, salt: random[:saltSize], hash: random[saltSize:]}
	return &passwords{turns: make(chan struct{}, hashesAtOnce), known: make(chan struct{}, 1), nobodys: p.String(), derive: argon2.IDKey}
}

// CheckPassword says whether a new password of the user may be one.
func CheckPassword(name, password string) error {
	n := utf8.RuneCountInString(password)
	if n < ShortestPassword || n > LongestPassword || !utf8.ValidString(password) || strings.EqualFold(name, password) || commonest(password) {
		return ErrPassword
	}
	return nil
}

func checkName(name string) error {
	n := utf8.RuneCountInString(name)
	printable := strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
	if n < 1 || n > LongestName || !printable || name != strings.TrimSpace(name) {
		return ErrName
	}
	return nil
}

// hash gives the PHC string of a new password.
func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	var salt [saltSize]byte
	_, _ = rand.Read(salt[:]) // never fails (crypto/rand)
	made := phc{memory: argonMemory, time: argonTime, lanes: argonLanes, salt: salt[:], hash: make([]byte, hashSize)}
	var err error
	made.hash, err = p.run(ctx, made, password, true)
	return made.String(), err
}

// matches tells whether the password is the one that was hashed.
func (p *passwords) matches(ctx context.Context, encoded, password string, known bool) (bool, error) {
	want, err := parsePHC(encoded)
	if err != nil {
		return false, err
	}
	if len(password) > LongestPassword*utf8.UTFMax {
		password = "" // can't be one; and hashing takes its time whatever is hashed
	}
	got, err := p.run(ctx, want, password, known)
	return err == nil && password != "" && subtle.ConstantTimeCompare(got, want.hash) == 1, err
}

// run waits for its turn.
//
// Errors: ErrBusy; ctx's.
func (p *passwords) run(ctx context.Context, with phc, password string, known bool) ([]byte, error) {
	var reserved chan struct{} // nil: never
	if known {
		reserved = p.known
	}
	patience := time.NewTimer(hashPatience)
	defer patience.Stop()
	p.running.Add(1)
	defer p.release()
	select {
	case p.turns <- struct{}{}:
		defer func() { <-p.turns }()
	case reserved <- struct{}{}:
		defer func() { <-reserved }()
	case <-patience.C:
		return nil, ErrBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return p.derive([]byte(password), with.salt, with.time, with.memory, with.lanes, uint32(len(with.hash))), nil //nolint:gosec // parsePHC bounds it
}

// release gives the memory back after the last of several: logins are rare,
// and the runtime would keep 19 MiB for minutes after each.
func (p *passwords) release() {
	if p.running.Add(-1) == 0 {
		debug.FreeOSMemory()
	}
}

// phc is a hash with what made it, as the PHC string format writes it:
// $argon2id$v=19$m=19456,t=2,p=1$salt$hash.
type phc struct {
	memory, time uint32
	lanes        uint8
	salt, hash   []byte
}

func (p phc) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.lanes,
		base64.RawStdEncoding.EncodeToString(p.salt), base64.RawStdEncoding.EncodeToString(p.hash))
}

var errPHC = errors.New("the stored password hash can't be read")

func parsePHC(s string) (phc, error) {
	var p phc
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, errPHC
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.lanes); err != nil {
		return p, errPHC
	}
	var err error
	if p.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return p, errPHC
	}
	if p.hash, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil {
		return p, errPHC
	}
	// Bounds, so that a broken row can't take the machine's memory.
	if p.memory < 8 || p.memory > 1<<18 || p.time < 1 || p.time > 16 || p.lanes < 1 || len(p.salt) < 8 || len(p.hash) < 16 || len(p.hash) > 64 {
		return p, errPHC
	}
	return p, nil
}
