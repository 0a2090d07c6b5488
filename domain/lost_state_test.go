package domain

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLostStateIsRecordedOnlyForTheSuccessThatCounts(t *testing.T) {
	w := shopWorld(t)
	session, deployment := ID{1: 1}, ID{2: 1}
	w.do(ConnectMachine{Name: "web-01", Session: session, Instance: ID{3: 1}})
	w.actual["shop web-01"], w.actualFrom["shop web-01"] = "2", deployment
	report := ReportLostState{Name: "web-01", Session: session, Lost: []LostSuccess{
		{Project: "shop", Deployment: deployment, Release: "forged", Proven: strings.Repeat("x", 2*MaxNameLength)},
		{Project: "shop", Deployment: deployment},
		{Project: "blog", Deployment: deployment}, {Project: "blog"},
	}}
	require.Equal(t, []Event{MachineLostState{Session: session, Lost: []LostSuccess{{Project: "shop",
		Deployment: deployment, Release: "2", Proven: strings.Repeat("x", MaxNameLength)}}}}, w.do(report))

	w.actualFrom["shop web-01"] = ID{2: 2}
	require.Empty(t, w.do(report), "the machine has succeeded again since the statement")
	w.actual["shop web-01"], w.actualFrom["shop web-01"] = "", ID{}
	require.Empty(t, w.do(report), "it was reported before")
	report.Session = ID{1: 2}
	w.rejects(report, Conflict, "the reporting session is not the newest one")
	w.rejects(ReportLostState{Name: "nix"}, NotFound, `machine "nix" does not exist`)
}
