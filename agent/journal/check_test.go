package journal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckMakesADeletedDataFolderAgain(t *testing.T) {
	for name, remove := range map[string]func(data string) error{
		"the data folder": os.RemoveAll,
		"the journal":     func(data string) error { return os.RemoveAll(filepath.Join(data, "journal")) },
		"the lock":        func(data string) error { return os.Remove(filepath.Join(data, "agent.lock")) },
	} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			j, _, err := Open(data)
			require.NoError(t, err)
			entry := Entry{Deployment: "d-1", Project: "shop", State: Claiming}
			require.NoError(t, j.Put(entry))
			require.NoError(t, j.RecordTrust(Trust{Key: "key"}))
			require.True(t, j.Present())

			require.NoError(t, remove(data))
			require.False(t, j.Present())
			made, err := j.Check()
			require.NoError(t, err)
			require.True(t, made)
			require.True(t, j.Present())
			_, _, err = Open(data)
			require.ErrorAs(t, err, new(*InUse), "it is locked")

			require.NoError(t, j.Close())
			again, entries, err := Open(data)
			require.NoError(t, err)
			defer again.Close()
			require.Equal(t, j.Identity(), again.Identity())
			require.Equal(t, "key", again.Trust().Key)
			require.Equal(t, []Entry{entry}, entries)
		})
	}
}

func TestCheckDoesNotUseAnotherAgentsFolder(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	j, _, err := Open(data)
	require.NoError(t, err)
	defer j.Close()
	require.NoError(t, os.RemoveAll(data))
	other, _, err := Open(data)
	require.NoError(t, err)

	_, err = j.Check()
	require.ErrorAs(t, err, new(*Missing))
	require.ErrorContains(t, err, "it belongs to another agent now")
	require.NoError(t, other.Close())
	_, err = j.Check()
	require.ErrorContains(t, err, "it belongs to another agent now")
	require.NoError(t, os.RemoveAll(data))
	_, err = j.Check()
	require.NoError(t, err)
}

func TestCheckWritesEntriesThatCouldNotBeWritten(t *testing.T) {
	data := t.TempDir()
	j, _, err := Open(data)
	require.NoError(t, err)
	defer j.Close()
	journal := filepath.Join(data, "journal")
	require.NoError(t, os.Rename(journal, journal+".away"))
	require.NoError(t, os.WriteFile(journal, nil, 0o600))
	require.Error(t, j.Put(Entry{Deployment: "d-1", State: Claiming}))
	require.Error(t, j.Put(Entry{Deployment: "d-2", State: Claiming}))
	_, err = j.Check()
	require.Error(t, err)
	require.False(t, j.Present())
	require.Error(t, j.Forget("d-2"))

	require.NoError(t, os.Remove(journal))
	require.NoError(t, os.Rename(journal+".away", journal))
	_, err = j.Check()
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(journal, "d-1.json"))
	require.NoFileExists(t, filepath.Join(journal, "d-2.json"))
	require.NoFileExists(t, filepath.Join(journal, temporaryPrefix+"probe"))
}
