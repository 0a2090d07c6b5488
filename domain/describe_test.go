package domain

import (
	"bytes"
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// placeOf returns a stream and an id that an event of this type could have.
func placeOf(e Event) Place {
	kind := map[string]string{
		"machine": MachineStream("web-01"),
		"project": ProjectStream("shop"),
		"trigger": ProjectStream("shop"),
		"release": ReleaseStream(
			"shop",
			number(10),
			"1.4.3",
		),
		"deployment": ProjectStream("shop"),
		"pin":        ProjectStream("shop"),
		"hold": ProjectStream(
			"shop",
		),
		"part":        PartStream(number(7), "web-01"),
		"environment": EnvironmentStream("production"),
		"policy":      PolicyStream("tame"),
		"token":       TokenStream("0123456789ab"),
		"server-key":  ServerKeyStream,
		"server":      ServerStream(number(1)),
		"watch":       WatchStream,
		"stream":      WatchStream,
		"log":         WatchStream,
	}
	prefix, _, _ := strings.Cut(TypeName(e), ".")
	return Place{Stream: cmp.Or(kind[prefix], prefix+"/a-name"), ID: number(99)}
}

func TestEveryEventHasASentence(t *testing.T) {
	for _, e := range samples() {
		at := placeOf(e)
		require.NotEmpty(t, at.Stream, "%T", e)
		d := Describe(e, at)
		require.Equal(t, Name(e), d.Name)
		require.NotEmpty(t, d.Sentence, d.Name)
		require.NotContains(t, d.Sentence, "%!", d.Name)
		require.NotContains(t, d.Details, "%!", d.Name)
		require.NotEmpty(t, d.Subject.Kind, d.Name)
	}
}

func TestEventSentencesNameTheirSubject(t *testing.T) {
	for _, e := range samples() {
		d := Describe(e, placeOf(e))
		require.Regexp(
			t,
			`^(machine|agent of machine|access|project|trigger|release|deployment|parts? of deployment|environment|pin of|hold of|`+
				`machine policy|(join )?token|server|absent machines|stream|restore of log|`+d.Subject.Kind+`) `,
			d.Sentence,
			d.Name,
		)
		require.NotRegexp(t, "settings of", d.Sentence, d.Name)
		if d.Subject.Machine != "" {
			require.Contains(t, d.Sentence, "machine "+d.Subject.Machine, d.Name)
		}
	}
	until := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	for want, e := range map[string]Event{
		"machine web-01 enabled":                   MachineEnabled{},
		"machine web-01 held at its current state": HoldSet{Machine: "web-01"},
		"hold of machine web-01 lifted":            HoldLifted{Machine: "web-01", Reason: Lifted},
		"environment production pinned to 1.0":     PinSet{Environment: "production", Release: "1.0"},
		"project defined":                          ProjectDefined{},
		"trigger joins defined":                    TriggerDefined{Trigger: "joins"},
		"machine policy defined":                   PolicyDefined{},
		"join token created, valid until 2026-03-01T09:00:00Z": TokenCreated{
			Settings: TokenSettings{Join: true, Until: &until}},
		"token ci with scope deploy created": TokenCreated{
			Settings: TokenSettings{Name: "ci", Scope: DeployScope}},
		"part of deployment 00000000 on machine web-01 claimed":   PartClaimed{},
		"token used by machine web-01, instance 00000000":         TokenUsed{Machine: "web-01"},
		"part of deployment 00000000 on machine web-01 succeeded": PartEnded{State: PartSucceeded},
	} {
		require.Equal(t, want, Describe(e, placeOf(e)).Sentence)
	}
}

func TestDescriptionIncludesTheRecordedOrigin(t *testing.T) {
	for _, e := range samples() {
		_, data := stored(t, e)
		d := Describe(e, placeOf(e))
		require.Equal(
			t,
			bytes.Contains(data, []byte(`"by":`)),
			d.Origin.By != "",
			"%s: the description must have the origin if the event records one",
			d.Name,
		)
	}
}

func TestDescribeIdentifiesTheSubject(t *testing.T) {
	for _, c := range []struct {
		event  Event
		stream string
		want   Subject
	}{
		{MachineEnabled{}, MachineStream("web-01"), Subject{Kind: "machine", Name: "web-01", Machine: "web-01"}},
		{ReleaseCreated{Version: "1.0"}, ReleaseStream("shop", number(3), "1.0"),
			Subject{Kind: "release", Name: "1.0", Project: "shop", Release: "1.0"}},
		{ReleaseCreated{Version: "1.0"}, ProjectStream("shop"),
			Subject{Kind: "project", Name: "shop", Project: "shop", Release: "1.0"}},
		{DeploymentQueued{Environment: "production", Release: "1.0"}, ProjectStream("shop"),
			Subject{Kind: "project", Name: "shop", Project: "shop", Environment: "production", Release: "1.0",
				Deployment: number(9)}},
		{PartEnded{Project: "shop"}, PartStream(number(7), "web-01"),
			Subject{Kind: "part", Name: "web-01", Project: "shop", Machine: "web-01", Deployment: number(7)}},
	} {
		require.Equal(t, c.want, Describe(c.event, Place{Stream: c.stream, ID: number(9)}).Subject)
	}
}
