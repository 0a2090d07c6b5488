package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// day is the midnight at which every scenario starts.
var day = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// clock is the simulated clock of a file. All servers measure durations with it, but their wall clocks can be wrong.
type clock struct{ now time.Duration }

// Now returns the correct time.
func (c *clock) Now() time.Time { return day.Add(c.now) }

// Elapsed returns the time since the start of the day.
func (c *clock) Elapsed() time.Duration { return c.now }

// serverClock is the clock of the machine that one server runs on.
type serverClock struct {
	*clock
	// wrong is the error of the wall clock; standing is the time at which it has stopped, or nil.
	wrong    time.Duration
	standing *time.Time
}

// Now returns the time of the server's wall clock.
func (c *serverClock) Now() time.Time {
	if c.standing != nil {
		return *c.standing
	}
	return c.clock.Now().Add(c.wrong)
}

// maxHours bounds the hours of a time; hours above 23 are on later days.
const maxHours = 9999

// parseTime parses HH:MM:SS. ok is false if the text has another form.
func parseTime(text string) (at time.Duration, ok bool) {
	fields := strings.Split(text, ":")
	if len(fields) != 3 {
		return 0, false
	}
	var n [3]int
	for i, field := range fields {
		v, err := strconv.Atoi(field)
		if err != nil || len(field) < 2 || v < 0 || i > 0 && (v > 59 || len(field) != 2) || v > maxHours {
			return 0, false
		}
		n[i] = v
	}
	return time.Duration(n[0])*time.Hour + time.Duration(n[1])*time.Minute + time.Duration(n[2])*time.Second, true
}

// formatTime formats a time for parseTime.
func formatTime(at time.Duration) string {
	if at < 0 { // a slow clock can show the previous day
		return "-" + formatTime(-at)
	}
	s := int(at / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}
