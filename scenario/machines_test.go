package scenario_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/scenario"
)

func TestRangesNameMachines(t *testing.T) {
	passes(t, `
report
00:00:05 rack[1-2]-node[08..10] joins
00:00:06 web-[1,5-6] joins
00:00:07 web-[1,5-6] heartbeat
00:00:08 web-[1,5-6] claims
00:00:09 web-[5-6] offline
----
ok #8..#19
ok #20..#25
ok unchanged
web-1  nothing to claim
web-5  nothing to claim
web-6  nothing to claim
ok #26..#27

do
00:00:10 machine disable web-[5-6]
00:00:10 hold --project shop rack1-node[08-09]
00:00:10 hold web-[1,7] --project shop
00:00:11 deploy shop 1 --to e --machine rack1-node[08-10] --machine web-1
00:00:11 deploy shop 1 --to e --exclude rack[1-2]-node[08-09] --exclude web-[1,5]
00:00:12 delete machine web-[5-6]
----
ok #28..#29
ok #30..#31
ok #32
web-7  rejected: machine "web-7" does not exist (`+"`drover get machines`"+` lists them)
ok #33
ok #34
…
ok #…

log from=#36
----
…MachineDeleted web-5
…

events
00:00:13 MachineAdded app-[1-3] --environment e
----
ok #38..#40

view deployments
----
…
d3  …  2 released,…
d2  …  3 released,…
d1  …
`)
}

func TestRangesAreBounded(t *testing.T) {
	for word, want := range map[string]string{
		"web-[1":                `a.txt:2:10: "[" has no "]" (write a range like web-[01-50]`,
		"web-1]":                `"]" has no "["`,
		"web-[1-3]]":            `"]" has no "["`,
		"web-[]":                `invalid range ""`,
		"web-[1-]":              `invalid range "1-"`,
		"web-[a-c]":             `invalid range "a-c"`,
		"web-[3-1]":             `range "3-1" ends before it begins`,
		"web-[1-1001]":          `range "1-1001" has more than 1000 machines`,
		"web-[1-999999999]":     `range "1-999999999" has more than 1000 machines`,
		"web-[1-9999999999999]": `invalid range "1-9999999999999"`,
		"a[1-100]b[1-11]":       `the range has more than 1000 machines`,
		strings.Repeat("[1-2]", 11) + strings.Repeat("[1-9]", 200): `the range has more than 1000 machines`,
	} {
		_, err := run(t, "report\n00:00:00 "+word+" joins\n")
		require.ErrorContains(t, err, want)
	}
	_, err := run(t, "expect"+strings.Repeat(" a", 1000)+strings.Repeat(" missing", 101)+"\n")
	require.ErrorContains(t, err, "the ranges and expectations of the file name more than 100000 machines")
	many := "report\n" + strings.Repeat("00:00:00 web-[0-999] heartbeat\n", scenario.MaxMachineLines/1000+1)
	_, err = run(t, many)
	require.ErrorContains(t, err, "a.txt:102:10: the ranges and expectations of the file name more than 100000 machines")
}
