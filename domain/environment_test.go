package domain

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEnvironmentsAndPoliciesInUseCannotBeDeleted(t *testing.T) {
	w := shopWorld(t)
	require.Empty(t, w.do(ApplyEnvironment{Name: "production"}), "no change")
	w.rejects(
		DeleteEnvironment{Name: "production"},
		Conflict,
		"in use by machine db-01, machine web-01, machine web-02",
	)
	w.rejects(DeleteEnvironment{Name: "qa"}, NotFound, `"qa"`)
	w.do(DeleteMachine{Name: "web-09"}, DeleteEnvironment{Name: "staging"})
	require.False(t, w.Environment("staging"))
	require.Equal(
		t,
		[]Event{EnvironmentDefined{Origin: By("ann")}},
		w.do(ApplyEnvironment{Name: "staging", Origin: By("ann")}),
	)

	w.do(
		ApplyPolicy{Name: "tame"},
		ApplyMachine{Name: "web-01", Environment: "production", Roles: []string{"web"}, Policy: "tame"},
	)
	w.rejects(DeletePolicy{Name: "tame"}, Conflict, "in use by machine web-01")
	w.rejects(DeletePolicy{Name: DefaultPolicy}, Conflict, "cannot be deleted")
	w.rejects(DeletePolicy{Name: "wild"}, NotFound, `"wild"`)
	w.do(ApplyMachine{Name: "web-01", Environment: "production"}, DeletePolicy{Name: "tame"})
	require.Nil(t, w.Policy("tame"))
}

func TestRejectionListsAtMostThreeReferences(t *testing.T) {
	w := shopWorld(t)
	w.do(ApplyMachine{Name: "web-03", Environment: "production"})
	w.rejects(DeleteEnvironment{Name: "production"}, Conflict, "machine web-01, machine web-02 and others")
}
