package domain

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyStreamsThatAreSetAsideCanBeCleared(t *testing.T) {
	w := newWorld(t)
	w.aside["project/shop"] = "it cannot be folded"
	require.Equal(
		t,
		[]Event{StreamCleared{Stream: "project/shop", Origin: By("ann")}},
		w.do(ClearStream{Name: "project/shop", Origin: By("ann")}),
	)
	w.rejects(ClearStream{Name: "project/blog"}, NotFound, `"project/blog" is not set aside`)
}
