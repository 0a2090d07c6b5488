package journal_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/agent/journal"
)

// anotherDigit returns the text with another hex digit at a place.
func anotherDigit(text string, place int) string {
	digit := "0"
	if text[place] == '0' {
		digit = "1"
	}
	return text[:place] + digit + text[place+1:]
}

func TestChangedDigitInTheIdentityIsAnErrorAndTheFileStays(t *testing.T) {
	data := t.TempDir()
	j, _ := open(t, data)
	identity := j.Identity()
	require.NoError(t, j.Close())
	path := filepath.Join(data, "identity.json")
	good := read(t, path)
	for _, value := range []string{identity.Instance, identity.Secret} {
		damaged := strings.Replace(good, value, anotherDigit(value, 30), 1)
		require.NotEqual(t, good, damaged)
		require.NoError(t, os.WriteFile(path, []byte(damaged), 0o600))
		_, _, err := journal.Open(data)
		require.EqualError(t, err, path+" is damaged (its content does not match its checksum); restore it from a backup, "+
			"or remove it and start the agent with a join token to join as a new instance")
		require.Equal(t, damaged, read(t, path))
	}
	require.NoError(t, os.WriteFile(path, []byte(good), 0o600))
	j, _ = open(t, data)
	require.Equal(t, identity, j.Identity())
}

func TestReformattedIdentityAndIdentityWithoutAChecksumStayValid(t *testing.T) {
	data := t.TempDir()
	j, _ := open(t, data)
	identity := j.Identity()
	path := filepath.Join(data, "identity.json")
	var fields map[string]any
	require.NoError(t, json.Unmarshal([]byte(read(t, path)), &fields))
	require.Contains(t, fields, "checksum")
	for range 2 {
		text, err := json.Marshal(fields)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, text, 0o600))
		j, _ = reopen(t, j, data)
		require.Equal(t, identity, j.Identity())
		require.Equal(t, string(text), read(t, path), "the agent does not change the file")
		delete(fields, "checksum")
	}
}
