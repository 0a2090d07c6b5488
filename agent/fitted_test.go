package agent

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/client"
)

func TestMemoryOfManyProjectsFitsIntoAHello(t *testing.T) {
	memory := func(projects int) *client.Memory {
		m := &client.Memory{Log: uuid.NewString(), Made: uuid.NewString(), Machine: "web-01", Revision: 9, Event: uuid.NewString(),
			Successes: map[string]string{}, Deployments: map[string]string{}, Earlier: map[string]string{}}
		for i := range projects {
			name := fmt.Sprintf("%s-%04d", strings.Repeat("p", 58), i)
			m.Successes[name], m.Deployments[name], m.Earlier[name] = uuid.NewString(), uuid.NewString(), uuid.NewString()
		}
		return m
	}
	few := memory(20)
	require.Same(t, few, fitted(few, client.MaxMemoryBytes), "a usual memory is sent whole")

	many := memory(2000)
	sent := fitted(many, client.MaxMemoryBytes)
	text, err := json.Marshal(sent)
	require.NoError(t, err)
	require.LessOrEqual(t, len(text), client.MaxMemoryBytes)
	require.Greater(t, len(text), client.MaxMemoryBytes/10*9, "as much as possible is sent")
	require.Equal(t, []any{many.Log, many.Machine, many.Revision, many.Event}, []any{sent.Log, sent.Machine, sent.Revision, sent.Event})
	for project, success := range sent.Successes {
		require.Equal(t, many.Successes[project], success)
		require.Equal(t, many.Deployments[project], sent.Deployments[project])
	}
	require.Len(t, many.Successes, 2000, "the memory itself is unchanged")
}
