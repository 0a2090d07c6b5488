package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLateFailureDoesNotBeginAnOutageThatHasEnded(t *testing.T) {
	var o outages
	late := o.begin(writing, 0)
	next := o.begin(writing, 3*time.Second)
	o.end(context.Background(), writing, next, 4*time.Second, nil)
	o.end(context.Background(), writing, late, 5*time.Second, errors.New("the connection was lost"))
	require.Zero(t, o.longest(time.Minute))
	require.True(t, o.writable(time.Minute))

	failing := o.begin(writing, time.Minute)
	o.end(context.Background(), writing, failing, time.Minute, errors.New("the connection was lost"))
	require.Equal(t, time.Minute, o.longest(2*time.Minute), "a failure after the success is an outage")
}

func TestOperationThatHangsAloneIsNoOutage(t *testing.T) {
	var o outages
	o.begin(writing, 0) // never ends
	require.Equal(t, 20*time.Second, o.longest(20*time.Second))
	for now := 20 * time.Second; now < time.Minute; now += time.Second {
		other := o.begin(writing, now)
		o.end(context.Background(), writing, other, now, nil)
		require.Zero(t, o.longest(now+time.Second), "the log works")
	}
}
