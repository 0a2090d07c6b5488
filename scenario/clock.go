package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// day is the one on which every scenario begins, at midnight.
var day = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// clock is moved by the file alone. All servers count durations on it; their wall clocks may be wrong.
type clock struct{ now time.Duration }

// Now is the wall clock.
func (c *clock) Now() time.Time { return day.Add(c.now) }

// Elapsed is the monotonic clock.
func (c *clock) Elapsed() time.Duration { return c.now }

// serverClock is the clock of the machine that one server runs on.
type serverClock struct {
	*clock
	// wrong is by how much its wall clock is wrong; standing is when it stands still, nil while it goes.
	wrong    time.Duration
	standing *time.Time
}

// Now is the server's wall clock.
func (c *serverClock) Now() time.Time {
	if c.standing != nil {
		return *c.standing
	}
	return c.clock.Now().Add(c.wrong)
}

// maxHours bounds a time of day; hours beyond 23 are those of the days after.
const maxHours = 9999

// parseTime reads HH:MM:SS. ok is false for anything else.
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

// formatTime writes what parseTime reads.
func formatTime(at time.Duration) string {
	if at < 0 { // on the day before, as a clock has it that is late
		return "-" + formatTime(-at)
	}
	s := int(at / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}
