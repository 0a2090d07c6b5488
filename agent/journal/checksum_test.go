package journal

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
)

func TestEveryFlippedBitAndEveryTruncationOfTheMemoryIsDetected(t *testing.T) {
	content, err := sealed(storedMemory{format, noChecksum,
		client.Memory{Log: "log-1", Machine: "web-01", Revision: 4, Event: "e4", Successes: map[string]string{"shop": "s1"}},
		[]finishedRun{{client.End{Deployment: "d-1", State: "succeeded"}, "shop"}}})
	require.NoError(t, err)
	stored, err := decodeMemory(content)
	require.NoError(t, err)
	require.Equal(t, "e4", stored.Event)
	for i := range content {
		_, err := decodeMemory(content[:i])
		require.Error(t, err, "only the first %d bytes", i)
		for bit := range 8 {
			content[i] ^= 1 << bit
			_, err := decodeMemory(content)
			require.Error(t, err, "bit %d of byte %d: %s", bit, i, content)
			content[i] ^= 1 << bit
		}
	}
}

func TestFieldsOfANewerVersionAreCoveredByTheChecksum(t *testing.T) {
	newer := struct {
		storedMemory
		Added string `json:"added"`
	}{storedMemory{Format: format, Checksum: noChecksum}, "by a newer version"}
	content, err := sealed(newer)
	require.NoError(t, err)
	_, err = decodeMemory(content)
	require.NoError(t, err)
	newer.Checksum = ""
	content, err = sealed(newer)
	require.NoError(t, err)
	_, err = decodeMemory(content)
	require.ErrorContains(t, err, `unknown field "added"`)
}
