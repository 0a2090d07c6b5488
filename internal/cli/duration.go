package cli

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
)

// lifetime is the value of a flag --for: a duration of Go, which may begin with a number of days, such as 30d or 1d12h.
type lifetime time.Duration

var daysForm = regexp.MustCompile(`^(-?)([0-9]+)d(.*)$`)

// Set parses text.
func (l *lifetime) Set(text string) error {
	parts := daysForm.FindStringSubmatch(text)
	if parts == nil {
		d, err := time.ParseDuration(text)
		*l = lifetime(d)
		return err
	}
	days, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || days > int64(math.MaxInt64/(24*time.Hour))-1 {
		return fmt.Errorf("invalid number of days %s", parts[2])
	}
	d := time.Duration(days) * 24 * time.Hour
	if parts[3] != "" {
		rest, err := time.ParseDuration(parts[3])
		if err != nil || rest < 0 || rest >= 24*time.Hour {
			return fmt.Errorf("invalid duration after the days %q", parts[3])
		}
		d += rest
	}
	if parts[1] != "" {
		d = -d
	}
	*l = lifetime(d)
	return nil
}

// String returns the duration as Go formats it, or an empty text for 0, the default.
func (l *lifetime) String() string {
	if *l == 0 {
		return ""
	}
	return time.Duration(*l).String()
}

// Type returns the type of the flag, by which messages about invalid values are chosen.
func (l *lifetime) Type() string { return "duration" }

// past is the value of a flag for a moment in the past, as the API takes it: a position, or a time in RFC 3339.
type past string

// Set parses a position such as "#12" or "12", a time, or a duration such as "10m" for ten minutes ago.
func (p *past) Set(text string) error {
	if at, ok := moment(text); ok {
		*p = past(at)
		return nil
	}
	*p = past(position(text)) // the server rejects what it does not understand
	return nil
}

// String returns the value.
func (p *past) String() string { return string(*p) }

// moment returns a time in RFC 3339 for a text that means one: such a time, a duration before now such as 10m, or a time in
// UTC as `drover events` prints it, perhaps without the seconds or without the time of day.
func moment(text string) (at string, ok bool) {
	if _, err := time.Parse(time.RFC3339, text); err == nil {
		return text, true
	}
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if utc, err := time.Parse(layout, text); err == nil {
			return utc.Format(time.RFC3339), true
		}
	}
	var ago lifetime
	if ago.Set(text) != nil || ago <= 0 { // 0 is a position
		return "", false
	}
	return time.Now().Add(-time.Duration(ago)).UTC().Format(time.RFC3339Nano), true
}

// Type describes the value.
func (*past) Type() string { return "POSITION" }
