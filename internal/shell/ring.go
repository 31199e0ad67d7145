package shell

import "unicode/utf8"

// ring is the last output. Positions count all bytes that there ever were.
type ring struct {
	buf []byte
	end int64
}

func (r *ring) add(p []byte) {
	if r.buf == nil {
		r.buf = make([]byte, kept)
	}
	for len(p) > 0 {
		n := copy(r.buf[r.end%kept:], p)
		r.end += int64(n)
		p = p[n:]
	}
}

// from gives a piece of what follows a position; it may be less than there is.
func (r *ring) from(at int64) []byte {
	if at >= r.end {
		return nil
	}
	i := at % kept
	return r.buf[i:min(kept, i+r.end-at)]
}

// begin is where to begin with what is kept: at the first byte, or, where that
// is in the middle, after the end of a line, or else at a whole character.
func (r *ring) begin() int64 {
	first := r.end - kept
	if first <= 0 {
		return 0
	}
	for at := first; at < min(first+4096, r.end); at++ {
		if r.buf[at%kept] == '\n' {
			return at + 1
		}
	}
	for !utf8.RuneStart(r.buf[first%kept]) && first < r.end-kept+utf8.UTFMax {
		first++
	}
	return first
}
