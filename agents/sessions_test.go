package agents

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An earlier session that does not answer pings delays only the admission of its own machine (law 30).
func TestAdmissionOfOneMachineDelaysNoOther(t *testing.T) {
	var s sessions
	s.init()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	unlock := map[string]func(){}
	for n := range 200 {
		machine := fmt.Sprintf("web-%03d", n)
		var err error
		unlock[machine], err = s.lockAdmission(ctx, machine)
		require.NoError(t, err, "machine %s waits for another one", machine)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	_, err := s.lockAdmission(gone, "web-000")
	require.ErrorContains(t, err, "another agent of machine web-000 is being admitted")
	waited := make(chan error)
	go func() {
		_, err := s.lockAdmission(ctx, "web-000")
		waited <- err
	}()
	unlock["web-000"]()
	require.NoError(t, <-waited)
	require.Len(t, s.admissions, 200)
}
