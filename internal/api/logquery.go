package api

import (
	"bytes"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/watch-docker/watch-docker/internal/containerlog"
)

const longestSearch = 200 // bytes

// logQuery is what is asked of a log.
type logQuery struct {
	containerlog.Request

	timestamps bool
}

func logQueries() []string {
	return []string{"tail", "since", "until", "before", "timestamps", "follow", "q", "regex"}
}

// readLogQuery reads the parameters of sockets and downloads.
func readLogQuery(values url.Values, tail string) (q logQuery, err error) {
	if given := values.Get("tail"); given != "" {
		tail = given
	}
	if q.Tail = containerlog.All; tail != "all" {
		n, err := strconv.ParseUint(tail, 10, 31)
		if err != nil {
			return q, invalid("query.tail", "is a number of lines, or all")
		}
		q.Tail = int(n)
	}
	for name, to := range map[string]*time.Time{"since": &q.Since, "until": &q.Until, "before": &q.Before} {
		if given := values.Get(name); given != "" {
			if *to, err = readMoment(given, time.Now()); err != nil {
				return q, invalid("query."+name, "is a time (RFC 3339), seconds since 1970, or how long ago (10m)")
			}
		}
	}
	past := !q.Until.IsZero() || !q.Before.IsZero()
	regex := false
	q.Follow = !past // unless it is said
	for name, to := range map[string]*bool{"timestamps": &q.timestamps, "follow": &q.Follow, "regex": &regex} {
		if given := values.Get(name); given != "" {
			if *to, err = strconv.ParseBool(given); err != nil {
				return q, invalid("query."+name, "is true or false")
			}
		}
	}
	if q.Follow && past {
		return q, invalid("query.follow", "can't be together with until or before")
	}
	q.Match, err = matcher(values.Get("q"), regex)
	return q, err
}

// readMoment reads a time, or how long ago it was.
func readMoment(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t.UTC(), nil
	}
	if whole, fraction, _ := strings.Cut(text, "."); whole != "" && len(fraction) <= 9 {
		seconds, err := strconv.ParseUint(whole, 10, 33)
		nanos, wrong := strconv.ParseUint((fraction + "000000000")[:9], 10, 32)
		if err == nil && wrong == nil {
			return time.Unix(int64(seconds), int64(nanos)).UTC(), nil
		}
	}
	ago, err := time.ParseDuration(text)
	return now.Add(-ago).UTC(), err
}

// matcher finds a text in lines, in upper or lower case; nil finds all.
// Colours within a line are looked through.
func matcher(q string, regex bool) (func([]byte) bool, error) {
	if q == "" {
		return nil, nil
	}
	if len(q) > longestSearch || !utf8.ValidString(q) {
		return nil, invalid("query.q", "is too long: 200 bytes at most")
	}
	var match func([]byte) bool
	if regex {
		re, err := regexp.Compile("(?i)" + q)
		if err != nil {
			return nil, invalid("query.q", "is no regular expression (RE2)")
		}
		match = re.Match
	} else {
		lower := []byte(strings.ToLower(q))
		match = func(text []byte) bool { return containsFold(text, lower) }
	}
	colours := regexp.MustCompile("\x1b\\[[0-9;:]*m")
	return func(text []byte) bool {
		if bytes.IndexByte(text, 0x1b) >= 0 {
			text = colours.ReplaceAll(text, nil)
		}
		return match(text)
	}, nil
}

// containsFold is bytes.Contains in upper or lower case; q is in lower case.
func containsFold(text, q []byte) bool {
	if !isASCII(q) {
		return bytes.Contains(bytes.ToLower(text), q)
	}
	for i := 0; i+len(q) <= len(text); i++ {
		c := text[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c == q[0] && bytes.EqualFold(text[i:i+len(q)], q) {
			return true
		}
	}
	return false
}

func isASCII(text []byte) bool {
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
