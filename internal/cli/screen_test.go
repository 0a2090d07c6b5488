package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/explain"
)

func TestTableFitsEveryTerminalAndStaysAligned(t *testing.T) {
	table := explain.Table{Header: []string{"NAME", "STATE", "ROLES", "COUNT"}, Rows: [][]string{
		{
			"web-01",
			"succeeded",
			strings.Repeat("web,", 20),
			"7",
		}, {"日本-02", "lost", "-", "12345"}, {"👍🏽⚠️-04", "online", "-", "1"}, {"e\u0301-03", "\x1b[2J", "a\tb", "-"}}}
	for columns := 1; columns < 140; columns++ {
		for _, colour := range []bool{false, true} {
			d := tableWriter{style: style{columns: columns, colour: colour}}
			for line := range strings.Lines(d.draw(table)) {
				line = strings.NewReplacer("\x1b[1m", "", "\x1b[0m", "", "\x1b[31m", "", "\x1b[32m", "", "\n", "").
					Replace(line)
				require.LessOrEqual(t, explain.Columns(line), columns, line)
				require.NotContains(t, line, "\x1b")
				if columns > 40 { // the second column begins below its header
					require.Equal(
						t,
						explain.Columns("日本-02  "),
						explain.Columns(line[:strings.Index(line, secondOf(line))]),
						line,
					)
				}
			}
		}
	}
}

func secondOf(line string) string { return strings.Fields(line)[1] }

func TestColumnsOfTableInPartsOnlyGrow(t *testing.T) {
	d := tableWriter{style: style{columns: explain.Unlimited}}
	first := d.draw(explain.Table{Header: []string{"NAME", "N"}, Rows: [][]string{{"web-01", "100"}}})
	second := d.draw(explain.Table{Header: []string{"NAME", "N"}, Rows: [][]string{{"w", "7"}}})
	require.Equal(t, "NAME      N\nweb-01  100\n", first)
	require.Equal(t, "w         7\n", second)
}

func TestTimesAreRelativeOnlyOnTerminals(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 30, 0, time.UTC)
	for at, want := range map[string]string{
		"2026-03-01T09:00:00Z": "30s ago", "2026-03-01T08:00:30Z": "60m ago", "2026-03-01T01:00:30Z": "8h ago",
		"2026-02-01T09:00:30Z": "28d ago", "2026-03-01T09:10:30Z": "in 10m", "2026-03-01": "2026-03-01",
	} {
		d := tableWriter{style: style{columns: explain.Unlimited, now: now}}
		require.Contains(t, d.draw(explain.Table{Header: []string{"A", "B"}, Rows: [][]string{{"x", at}}}), want)
		plain := tableWriter{style: style{columns: explain.Unlimited}}
		require.Contains(t, plain.draw(explain.Table{Header: []string{"A", "B"}, Rows: [][]string{{"x", at}}}), at)
	}
}

func TestCharacterSplitBetweenWritesIsNotEscaped(t *testing.T) {
	for cut := range len("läuft 日本 \xff!") {
		var b strings.Builder
		w := &escapingWriter{to: &b}
		text := "läuft 日本 \xff!"
		fmt.Fprint(w, text[:cut])
		fmt.Fprint(w, text[cut:])
		require.Equal(t, `läuft 日本 \xff!`, b.String(), cut)
	}
}
