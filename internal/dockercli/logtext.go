package dockercli

import (
	"bytes"
	"time"
	"unicode"
	"unicode/utf8"
)

// stampLength is that of the times which the engine puts before messages:
// "2006-01-02T15:04:05.000000000Z ".
const stampLength = 31

// stampReader reads these times; most are of the second of the one before.
type stampReader struct {
	second [20]byte // "2006-01-02T15:04:05."
	unix   int64
}

// cut takes the time off a message. One that has none has the zero time.
func (r *stampReader) cut(message []byte) (time.Time, []byte) {
	space := bytes.IndexByte(message[:min(len(message), len(time.RFC3339Nano)+6)], ' ')
	if space < 0 {
		return time.Time{}, message
	}
	stamp := message[:space]
	if space == stampLength-1 && stamp[space-1] == 'Z' && [20]byte(stamp[:20]) == r.second {
		nanos := int64(0)
		for _, digit := range stamp[20 : space-1] {
			if digit < '0' || digit > '9' {
				return time.Time{}, message
			}
			nanos = nanos*10 + int64(digit-'0')
		}
		return time.Unix(r.unix, nanos).UTC(), message[space+1:]
	}
	t, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return time.Time{}, message
	}
	if space == stampLength-1 && stamp[space-1] == 'Z' {
		r.second, r.unix = [20]byte(stamp[:20]), t.Unix()
	}
	return t.UTC(), message[space+1:]
}

// safeText appends text of a program in a form that can be shown anywhere: it
// is UTF-8, keeps tabs and the sequences that set colours (SGR, ECMA-48
// 8.3.117), loses all other sequences that steer a terminal, and shows other
// control characters as their pictures (U+2400 and up). What isn't UTF-8, or
// would turn text around on the screen, becomes U+FFFD.
func safeText(to, text []byte) []byte {
	for len(text) > 0 {
		plain := 0
		for plain < len(text) && (text[plain] >= ' ' && text[plain] < 0x7f || text[plain] == '\t') {
			plain++
		}
		to, text = append(to, text[:plain]...), text[plain:]
		if len(text) == 0 {
			return to
		}
		switch c := text[0]; {
		case c == 0x1b:
			length, colour := sequence(text)
			if colour {
				to = append(to, text[:length]...)
			}
			text = text[length:]
		case c == 0x7f:
			to, text = append(to, "\u2421"...), text[1:]
		case c < ' ':
			to, text = utf8.AppendRune(to, 0x2400+rune(c)), text[1:]
		default:
			r, size := utf8.DecodeRune(text)
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
				r = unicode.ReplacementChar
			}
			to, text = utf8.AppendRune(to, r), text[size:]
		}
	}
	return to
}

// sequence measures what begins with ESC, and reports whether it sets colours.
func sequence(text []byte) (length int, colour bool) {
	if len(text) == 1 {
		return 1, false
	}
	switch text[1] {
	case '[': // a control sequence, up to its final byte
		for i := 2; i < len(text); i++ {
			switch c := text[i]; {
			case c >= '@' && c <= '~':
				return i + 1, c == 'm' && isSGR(text[2:i])
			case c < ' ' || c > '~': // broken off
				return i, false
			}
		}
		return len(text), false
	case ']', 'P', 'X', '^', '_': // a string, up to ST or BEL
		for i := 2; i < len(text); i++ {
			if text[i] == 0x07 {
				return i + 1, false
			}
			if text[i] == 0x1b {
				if i+1 < len(text) && text[i+1] == '\\' {
					i++
				}
				return i + 1, false
			}
		}
		return len(text), false
	}
	for i := 1; i < len(text); i++ { // others: intermediate bytes, and a final one
		switch c := text[i]; {
		case c >= '0' && c <= '~':
			return i + 1, false
		case c < ' ' || c > '~':
			return i, false
		}
	}
	return len(text), false
}

// isSGR tells colours from sequences with private parameters.
func isSGR(parameters []byte) bool {
	for _, c := range parameters {
		if (c < '0' || c > '9') && c != ';' && c != ':' {
			return false
		}
	}
	return true
}
