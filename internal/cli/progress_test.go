package cli

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/explain"
)

var start = time.Date(2026, 11, 28, 14, 0, 0, 0, time.UTC)

// sampled returns samples, one each interval.
func sampled(interval time.Duration, ended ...int) (samples []sample) {
	for i, n := range ended {
		samples = addSample(samples, sample{start.Add(time.Duration(i) * interval), n})
	}
	return samples
}

func TestPaceStatesRateAndRemainingTime(t *testing.T) {
	for _, c := range []struct {
		what      string
		samples   []sample
		remaining int
		want      string
	}{
		{"twelve a minute", sampled(time.Minute, 0, 12, 24), 72, "12/min · ~6 min"},
		{"a part of a minute counts as one", sampled(time.Minute, 0, 10), 11, "10/min · ~2 min"},
		{"slow", sampled(time.Minute, 0, 0, 1), 3, "0.5/min · ~6 min"},
		{"whole numbers have no decimal", sampled(time.Minute, 0, 2), 120, "2/min · ~1 h"},
		{"hours", sampled(time.Minute, 0, 1), 130, "1/min · ~2 h 10 min"},
		{"days", sampled(time.Minute, 0, 0, 1), 2000, "0.5/min · ~2 d"},
		{"almost done", sampled(time.Minute, 0, 100), 10, "100/min · <1 min"},
		{"machines that ended before the first sample do not count", sampled(time.Minute, 500, 512), 24, "12/min · ~2 min"},
		{"nothing is left", sampled(time.Minute, 0, 12), 0, ""},
		{"no machine ended", sampled(time.Minute, 7, 7, 7), 3, ""},
		{"too early", sampled(9*time.Second, 0, 50), 3, ""},
		{"one sample", sampled(time.Minute, 0), 3, ""},
		{"no samples", nil, 3, ""},
	} {
		require.Equal(t, c.want, paceText(c.samples, c.remaining), c.what)
	}
}

func TestPaceForgetsWhatIsOlderThanItsWindow(t *testing.T) {
	fast := sampled(time.Minute, 0, 600, 1200)
	for i := range 6 {
		fast = addSample(fast, sample{start.Add(time.Duration(i+3) * time.Minute), 1200 + 6*(i+1)})
	}
	require.Equal(t, "6/min · ~1 min", paceText(fast, 6))
	frequent := sampled(100*time.Millisecond, make([]int, 3000)...)
	require.LessOrEqual(t, len(frequent), 350, "about one sample a second")
	require.Equal(t, start, frequent[0].at)
}

// parts returns n machines in a state.
func parts(n int, state, reason string) []explain.DeploymentMachine {
	machines := make([]explain.DeploymentMachine, n)
	for i := range machines {
		machines[i] = explain.DeploymentMachine{State: state, Reason: reason}
	}
	return machines
}

func TestProgressIsOneLineWithTheMostImportantFirst(t *testing.T) {
	var d explain.Deployment
	for _, group := range [][]explain.DeploymentMachine{parts(1200, "succeeded", ""), parts(2, "failed", "step-failed"),
		parts(1, "lost", "no-end-reported"), parts(10, "running", ""), parts(780, "queued", "not-released"),
		parts(4, "released", "machine-offline"), parts(2, "skipped", "held")} {
		d.Machines = append(d.Machines, group...)
	}
	require.Equal(t, "1200/1999 succeeded · 3 failed · 10 running · 12/min · ~1 h 7 min · 2 skipped · 780 waiting · "+
		"4 cannot start: the machine is offline", tallyOf(d).line(sampled(time.Minute, 1181, 1193, 1205)))
	require.Equal(t, "0/1 succeeded · 1 waiting",
		tallyOf(explain.Deployment{Machines: parts(1, "released", "")}).line(nil))
}

func TestMilestonesKeepTheLogOfAPipelineShort(t *testing.T) {
	var m milestones
	lines := 0
	for ended := range 2000 {
		if m.due(tally{total: 2000, succeeded: ended}, start.Add(time.Duration(ended)*100*time.Millisecond)) {
			lines++
		}
	}
	require.Equal(t, 10, lines, "the first, and nine tenths")
	require.False(t, m.due(tally{total: 2000, succeeded: 2000}, start.Add(time.Hour)), "the result follows")

	m = milestones{}
	require.True(t, m.due(tally{total: 3, running: 3}, start), "the first")
	require.False(t, m.due(tally{total: 3, running: 3}, start.Add(59*time.Second)))
	require.True(t, m.due(tally{total: 3, running: 3}, start.Add(60*time.Second)), "nothing happened for a minute")
	require.True(t, m.due(tally{total: 3, running: 2, failed: 1}, start.Add(61*time.Second)), "failed machines have ended too")
	require.False(t, m.due(tally{total: 3, running: 2, failed: 1}, start.Add(62*time.Second)))
}

func TestMessagesAppearAboveTheStatusLine(t *testing.T) {
	var terminal bytes.Buffer
	s := &statusLine{to: &terminal}
	s.show("1/3 succeeded", 1, 3)
	s.show("1/3 succeeded", 1, 3)
	_, err := s.Write([]byte("web-02 failed\n"))
	require.NoError(t, err)
	s.show("1/3 succeeded \x1b[2J", 1, 3)
	s.clear()
	s.clear()
	_, err = s.Write([]byte("done\n"))
	require.NoError(t, err)
	require.Equal(t, "\r\x1b[K1/3 succeeded"+"\r\x1b[Kweb-02 failed\n1/3 succeeded"+
		"\r\x1b[K1/3 succeeded \\u001b[2J"+"\r\x1b[K"+"done\n", terminal.String())
}
