package journal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agent/journal"
	"github.com/droverhq/drover/api/client"
)

func deployments(j *journal.Journal, project string) []string {
	return j.Remembered().Projects[project].Deployments
}

func TestSuccessesOutliveANewIDOfTheSameLog(t *testing.T) {
	data := t.TempDir()
	j, _ := open(t, data)
	require.Equal(t, client.Remembered{Projects: map[string]client.RememberedProject{}}, j.Remembered(), "an empty record is complete")
	require.NoError(t, j.RecordLog(client.Welcome{Log: "log-1", Made: "log-1"}, "web-01"))
	require.NoError(t, j.Remember("shop", journal.Success{Deployment: "d-1", Release: "1.0", Number: 1}))
	require.NoError(t, j.RecordLog(client.Welcome{Log: "log-2", Made: "log-1"}, "web-01"))
	j, _ = reopen(t, j, data)
	want := client.Remembered{Projects: map[string]client.RememberedProject{"shop": {Release: "1.0", Deployments: []string{"d-1"}}}}
	require.Equal(t, want, j.Remembered())

	require.NoError(t, j.RecordLog(client.Welcome{Log: "log-9", Made: "log-9"}, "web-01"))
	require.Empty(t, j.Remembered().Projects, "another cluster can have installed something else")
	require.NoError(t, j.Remember("shop", journal.Success{Deployment: "d-9"}))
	require.NoError(t, j.RecordLog(client.Welcome{Log: "log-9", Made: "log-9"}, "web-02"))
	require.Empty(t, j.Remembered().Projects, "another machine")
	require.NoError(t, j.Close())
}

func TestRememberedListsTheLastRunsInTheirOrder(t *testing.T) {
	j, _ := open(t, t.TempDir())
	for _, number := range []int64{2, 3, 1} { // the first part is confirmed last
		success := journal.Success{Deployment: fmt.Sprint("d-", number), Release: fmt.Sprint(number), Number: number}
		require.NoError(t, j.Remember("shop", success))
		require.NoError(t, j.Remember("shop", success), "confirmed twice")
	}
	require.Equal(t, client.RememberedProject{Release: "3", Deployments: []string{"d-1", "d-2", "d-3"}}, j.Remembered().Projects["shop"])
	for number := range int64(20) {
		require.NoError(t, j.Remember("blog", journal.Success{Deployment: fmt.Sprint("d-", number), Number: number}))
	}
	require.Len(t, deployments(j, "blog"), 8)
	require.Contains(t, deployments(j, "blog"), "d-19")
	require.NoError(t, j.Close())
}

// The memory of a log that has lost events must stay until a person has accepted that.
func TestMemoryIsRetainedWhileTheLogHasLostEvents(t *testing.T) {
	j, _ := open(t, t.TempDir())
	require.NoError(t, j.RecordLog(client.Welcome{Log: "log-2", Made: "log-1"}, "web-01"))
	require.NoError(t, j.RecordSuccess("shop", client.Ended{Deployment: "d-1", Event: "s1"}))
	before := j.Memory()
	require.NoError(t, j.RecordLog(client.Welcome{Log: "log-1", Made: "log-1", LostEvents: true}, "web-01"))
	require.NoError(t, j.RecordEvent(client.NewestEvent{Log: "log-1", Revision: 9, Event: "e9"}))
	require.Equal(t, before, j.Memory())
	require.NoError(t, j.RecordLog(client.Welcome{Log: "log-3", Made: "log-1"}, "web-01"))
	require.Equal(t, "log-3", j.Memory().Log)
	require.Empty(t, j.Memory().Successes, "the servers have compared them")
	require.NoError(t, j.RecordLog(client.Welcome{Log: "log-9", Made: "log-9", LostEvents: true}, "web-01"))
	require.Equal(t, "log-9", j.Memory().Log, "the agent has moved to another cluster")
	require.NoError(t, j.Close())
}

func TestSuccessesOfAnEarlierVersionAreTakenFromItsMemory(t *testing.T) {
	for log, partial := range map[string]bool{"made-1": false, "log-2": true} {
		path, _ := memoryFile(t)
		earlier := `{"format": 1, "log": "` + log + `", "made": "made-1", "machine": "web-01", "revision": 4, "event": "e4",
		"successes": {"shop": "s1"}, "deployments": {"shop": "d-1"}, "runs": [
		{"deployment": "d-2", "state": "succeeded", "project": "shop"},
		{"deployment": "d-3", "state": "failed", "project": "shop"},
		{"deployment": "d-4", "state": "succeeded", "project": "blog"}]}`
		require.NoError(t, os.WriteFile(path, []byte(earlier), 0o600))
		j, _ := open(t, filepath.Dir(path))
		for range 2 {
			require.Equal(t, []string{"d-1", "d-2"}, deployments(j, "shop"))
			require.Equal(t, []string{"d-4"}, deployments(j, "blog"))
			require.Equal(t, partial, j.Remembered().Partial, "it forgot its successes with each new id of the log")
			j, _ = reopen(t, j, filepath.Dir(path))
		}
		require.NoError(t, j.Close())
	}
}

func TestDamagedMemoryRemembersNoSuccess(t *testing.T) {
	path, _ := memoryFile(t)
	j, _ := open(t, filepath.Dir(path))
	require.NoError(t, j.Remember("shop", journal.Success{Deployment: "d-1"}))
	require.NoError(t, j.Close())
	require.NoError(t, os.WriteFile(path, []byte("damaged"), 0o600))
	j, _ = open(t, filepath.Dir(path))
	require.Equal(t, client.Remembered{Projects: map[string]client.RememberedProject{}}, j.Remembered())
	require.NoError(t, j.Close())
}
