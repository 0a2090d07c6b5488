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

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// terminalSize returns the size of the terminal, or explain.Unlimited twice if it is unknown.
func terminalSize(w io.Writer) (columns, lines int) {
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

// supportsEscapes reports whether the terminal supports colours and cursor movements.
func supportsEscapes() bool { return getenv("TERM") != "dumb" && getenv("TERM") != "" }

// style is the style of a table.
type style struct {
	columns int // the width of the terminal, or explain.Unlimited
	colour  bool
	// now is the time that times in cells are relative to. If zero, times are printed in full.
	now time.Time
}

// style returns the style of tables on stdout. Tables for programs have no colours, and are not cut.
func (a *app) style() style {
	if !isTerminal(a.Out) {
		return style{columns: explain.Unlimited}
	}
	columns, _ := terminalSize(a.Out)
	colour := supportsEscapes() && getenv("NO_COLOR") == "" && (a.output == "" || a.output == formatTable)
	return style{columns: columns, colour: colour, now: time.Now()}
}

// tableWriter formats one table in several parts. Its columns only grow, so that later parts align with earlier ones.
type tableWriter struct {
	style
	header []string
	widths []int
}

// gap is the number of blanks between two columns.
const gap = 2

// draw returns the rows as lines. The first call adds the header.
func (d *tableWriter) draw(t explain.Table) string {
	rows := make([][]string, len(t.Rows))
	for i, row := range t.Rows {
		rows[i] = d.cells(row)
	}
	right := numeric(rows)
	started := d.header != nil
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
	if !started {
		d.line(&b, fitted, right, d.header, true)
	}
	for _, row := range rows {
		d.line(&b, fitted, right, row, false)
	}
	return b.String()
}

// cells returns the cells of a row, each on one line, with relative times.
func (d *tableWriter) cells(row []string) []string {
	cells := make([]string, len(row))
	for i, cell := range row {
		cells[i] = explain.Line(cell)
		if moment, err := time.Parse("2006-01-02T15:04:05Z", cell); err == nil && !d.now.IsZero() {
			cells[i] = relative(d.now, moment)
		}
	}
	return cells
}

// relative returns a time relative to now with one number: 40s ago, 3h ago, in 2d.
func relative(now, moment time.Time) string {
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

// numeric returns which columns contain only numbers; these are right-aligned.
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

// fits reports whether a table fits into the terminal without cuts.
func (d *tableWriter) fits(t explain.Table) bool {
	widths := make([]int, len(t.Header))
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], explain.Columns(cell))
		}
	}
	return d.columns == explain.Unlimited || total(widths) <= d.columns
}

// fit returns the widths of the columns that fit into the terminal. It narrows columns down to their headers, the
// widest first. If that is not enough, it drops columns on the right. The first column identifies the row, so it is
// narrowed only if no other column is left.
func (d *tableWriter) fit() []int {
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

// total returns the width of columns with the gaps between them.
func total(widths []int) int {
	sum := gap * (len(widths) - 1)
	for _, w := range widths {
		sum += w
	}
	return sum
}

// line writes the cells of one row that are shown.
func (d *tableWriter) line(b *strings.Builder, widths []int, right map[int]bool, row []string, header bool) {
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

// painted are the columns whose words have a colour; colours maps the words to it.
var painted = map[string]bool{"STATE": true, "HEALTH": true, "VERDICT": true, "ALIVE": true}

var colours = map[string]string{
	"online": "32", "healthy": "32", "succeeded": "32", "deploy": "32",
	"offline": "31", "unhealthy": "31", "failed": "31", "lost": "31",
	"warning": "33", "wait": "33", "queued": "33", "released": "33", "cancelled": "33", "skipped": "33",
	"running": "36", "verifying": "36",
}

func (d *tableWriter) paint(column int, cell string, header bool) string {
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

// escapingWriter escapes text that a terminal would interpret.
type escapingWriter struct {
	to io.Writer
	// colours are not escaped: steps print them for people.
	colours bool
	// half is the incomplete character or colour sequence at the end of the last write.
	half []byte
}

// escaping returns a writer for messages and for all output that a tableWriter did not format.
func escaping(to io.Writer) io.Writer {
	if isTerminal(to) {
		return &escapingWriter{to: to}
	}
	return to
}

// escapingExceptColours returns a writer for the output of steps.
func escapingExceptColours(to io.Writer) io.Writer {
	if isTerminal(to) {
		return &escapingWriter{to: to, colours: supportsEscapes() && getenv("NO_COLOR") == ""}
	}
	return to
}

var (
	// colour is the only sequence that is not escaped. unfinished may become one, or a line end, with the next write.
	colour     = regexp.MustCompile(`\x1b\[[0-9;]{0,30}m`)
	unfinished = regexp.MustCompile(`(\x1b(\[[0-9;]{0,30})?|\r)$`)
)

// Write writes text escaped. It retains an incomplete end for the next write.
func (w *escapingWriter) Write(p []byte) (int, error) {
	text := append(w.half, p...)
	end := wholeCharacters(text)
	if at := unfinished.FindIndex(text[:end]); w.colours && at != nil {
		end = at[0]
	}
	w.half = append([]byte{}, text[end:]...)
	if _, err := io.WriteString(w.to, w.escape(text[:end])); err != nil {
		return 0, err
	}
	return len(p), nil
}

// escape returns text escaped, except for colours where they are allowed.
func (w *escapingWriter) escape(text []byte) string {
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

// wholeCharacters returns the length of text without an incomplete character at its end.
func wholeCharacters(text []byte) int {
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
