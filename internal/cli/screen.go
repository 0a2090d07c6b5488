package cli

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/droverhq/drover/explain"
)

// isTerminal says whether a person looks at what is written there, or types what is read.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// size is that of the terminal; explain.Unlimited where it is not known.
func size(w io.Writer) (columns, lines int) {
	file, ok := w.(*os.File)
	if !ok {
		return explain.Unlimited, explain.Unlimited
	}
	columns, lines, err := term.GetSize(int(file.Fd()))
	if err != nil || columns < 1 || lines < 1 {
		return explain.Unlimited, explain.Unlimited
	}
	return columns, lines
}

// clever says that the terminal obeys escapes: colours, the cursor.
func clever() bool { return getenv("TERM") != "dumb" && getenv("TERM") != "" }

// style is how tables are drawn.
type style struct {
	columns int // explain.Unlimited: as wide as they are
	colour  bool
	// now is what moments are told as distant from; zero: they are written out.
	now time.Time
}

// style is that of stdout: for a person at a terminal, else as it is.
func (s *shell) style() style {
	if !isTerminal(s.Out) {
		return style{columns: explain.Unlimited}
	}
	columns, _ := size(s.Out)
	colour := clever() && getenv("NO_COLOR") == "" && (s.output == "" || s.output == formatTable)
	return style{columns: columns, colour: colour, now: time.Now()}
}

// sheet draws one table from several pieces. Its columns only ever grow, so that a piece lies under the one before.
type sheet struct {
	style
	header []string
	widths []int
}

// gap is what lies between two columns.
const gap = 2

// draw returns the rows as lines, the first time below their header.
func (d *sheet) draw(t explain.Table) string {
	rows := make([][]string, len(t.Rows))
	for i, row := range t.Rows {
		rows[i] = d.short(row)
	}
	right := numeric(rows)
	begun := d.header != nil
	d.header = t.Header
	for _, row := range append([][]string{d.header}, rows...) {
		for len(d.widths) < len(row) {
			d.widths = append(d.widths, 0)
		}
		for i, cell := range row {
			d.widths[i] = max(d.widths[i], explain.Columns(cell))
		}
	}
	fitted := d.fit()
	var b strings.Builder
	if !begun {
		d.line(&b, fitted, right, d.header, true)
	}
	for _, row := range rows {
		d.line(&b, fitted, right, row, false)
	}
	return b.String()
}

// short makes the cells of a row fit to be drawn; moments are told as distant from now.
func (d *sheet) short(row []string) []string {
	cells := make([]string, len(row))
	for i, cell := range row {
		cells[i] = explain.Line(cell)
		if moment, err := time.Parse("2006-01-02T15:04:05Z", cell); err == nil && !d.now.IsZero() {
			cells[i] = distance(d.now, moment)
		}
	}
	return cells
}

// distance tells a moment in one short number: 40s ago, 3h ago, in 2d.
func distance(now, moment time.Time) string {
	d := now.Sub(moment)
	text := func(d time.Duration) string {
		switch {
		case d < 2*time.Minute:
			return fmt.Sprintf("%ds", int(d.Seconds()))
		case d < 2*time.Hour:
			return fmt.Sprintf("%dm", int(d.Minutes()))
		case d < 48*time.Hour:
			return fmt.Sprintf("%dh", int(d.Hours()))
		}
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
	if d < 0 {
		return "in " + text(-d)
	}
	return text(d) + " ago"
}

// numeric finds the columns that hold numbers alone; these stand right.
func numeric(rows [][]string) map[int]bool {
	count, other := map[int]int{}, map[int]bool{}
	for _, row := range rows {
		for i, cell := range row {
			if _, err := strconv.ParseInt(strings.TrimPrefix(cell, "#"), 10, 64); err == nil && i > 0 {
				count[i]++
			} else if cell != "-" {
				other[i] = true
			}
		}
	}
	right := map[int]bool{}
	for i := range count {
		right[i] = !other[i]
	}
	return right
}

// fit leaves out the rightmost columns that have no room even when all are narrow, and narrows the others, always the
// widest, down to their headers. The first one names the row, and is narrowed only where it stands alone.
func (d *sheet) fit() []int {
	widths := append([]int{}, d.widths...)
	if d.columns == explain.Unlimited {
		return widths
	}
	least := append([]int{}, widths...)
	for i := 1; i < len(least) && i < len(d.header); i++ {
		least[i] = min(widths[i], max(explain.Columns(d.header[i]), 4))
	}
	for len(least) > 1 && total(least) > d.columns {
		least = least[:len(least)-1]
	}
	widths = widths[:len(least)]
	for total(widths) > d.columns && len(widths) > 1 {
		widest := len(widths) - 1
		for i := widest; i > 0; i-- {
			if widths[i]-least[i] > 0 && (widths[i] > widths[widest] || widths[widest] == least[widest]) {
				widest = i
			}
		}
		widths[widest]--
	}
	widths[0] = min(widths[0], d.columns)
	return widths
}

// total is how wide columns are, with the gaps between them.
func total(widths []int) int {
	sum := gap * (len(widths) - 1)
	for _, w := range widths {
		sum += w
	}
	return sum
}

// line writes one row in the columns that are shown.
func (d *sheet) line(b *strings.Builder, widths []int, right map[int]bool, row []string, header bool) {
	for i, cell := range row[:min(len(row), len(widths))] {
		cell = explain.Cut(cell, widths[i])
		space := strings.Repeat(" ", widths[i]-explain.Columns(cell))
		painted := d.paint(i, cell, header)
		last := i == min(len(row), len(widths))-1
		switch {
		case right[i]:
			painted = space + painted
		case !last:
			painted += space
		}
		b.WriteString(painted)
		if !last {
			b.WriteString(strings.Repeat(" ", gap))
		}
	}
	b.WriteByte('\n')
}

// painted are the columns in which a word has a colour, and colours the words.
var painted = map[string]bool{"STATE": true, "HEALTH": true, "VERDICT": true, "ALIVE": true}

var colours = map[string]string{
	"online": "32", "healthy": "32", "succeeded": "32", "deploy": "32",
	"offline": "31", "unhealthy": "31", "failed": "31", "lost": "31",
	"warning": "33", "wait": "33", "queued": "33", "released": "33", "cancelled": "33", "skipped": "33", "running": "36",
}

func (d *sheet) paint(column int, cell string, header bool) string {
	switch {
	case !d.colour:
		return cell
	case header:
		return "\x1b[1m" + cell + "\x1b[0m"
	case column < len(d.header) && painted[d.header[column]]:
		word, _, _ := strings.Cut(cell, ",")
		if code := colours[word]; code != "" {
			return "\x1b[" + code + "m" + cell + "\x1b[0m"
		}
	}
	return cell
}

// safe is a writer to a terminal that lets no text through that the terminal would obey.
type safe struct {
	to io.Writer
	// colours may pass: a step printed them for people.
	colours bool
	// half is the beginning of a letter or a colour whose rest has not been written yet.
	half []byte
}

// words is where sentences go, and all that is not drawn by a sheet.
func words(to io.Writer) io.Writer {
	if isTerminal(to) {
		return &safe{to: to}
	}
	return to
}

// coloured is where the output of steps goes.
func coloured(to io.Writer) io.Writer {
	if isTerminal(to) {
		return &safe{to: to, colours: clever() && getenv("NO_COLOR") == ""}
	}
	return to
}

var (
	// colour is the one sequence that may pass, unfinished what may become one, or a line's end, with what is written next.
	colour     = regexp.MustCompile(`\x1b\[[0-9;]{0,30}m`)
	unfinished = regexp.MustCompile(`(\x1b(\[[0-9;]{0,30})?|\r)$`)
)

// Write passes text on as a terminal may get it.
func (w *safe) Write(p []byte) (int, error) {
	text := append(w.half, p...)
	end := wholeLetters(text)
	if at := unfinished.FindIndex(text[:end]); w.colours && at != nil {
		end = at[0]
	}
	w.half = append([]byte{}, text[end:]...)
	if _, err := io.WriteString(w.to, w.fit(text[:end])); err != nil {
		return 0, err
	}
	return len(p), nil
}

// fit is text with what a terminal would obey made visible, but for colours where they may pass.
func (w *safe) fit(text []byte) string {
	if !w.colours {
		return explain.Text(string(text))
	}
	var b strings.Builder
	done := 0
	for _, at := range colour.FindAllIndex(text, -1) {
		b.WriteString(explain.Text(string(text[done:at[0]])))
		b.Write(text[at[0]:at[1]])
		done = at[1]
	}
	b.WriteString(explain.Text(string(text[done:])))
	return b.String()
}

// wholeLetters is where the last letter of text ends that is there as a whole.
func wholeLetters(text []byte) int {
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		if at := len(text) - back; utf8.RuneStart(text[at]) {
			if !utf8.FullRune(text[at:]) {
				return at
			}
			break
		}
	}
	return len(text)
}
