package domain

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// stored encodes an event as logs return it: without white space and with sorted members. The numbers in the samples
// survive the conversion to float64.
func stored(t testing.TB, e Event) (typeName string, data []byte) {
	t.Helper()
	typeName, encoded, err := Encode(e)
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(encoded, &members))
	data, err = json.Marshal(members)
	require.NoError(t, err)
	return typeName, data
}

// TestFrequentEventsAreDecodedOnTheFastPath fails if a new field or another encoding sends a frequent event to
// encoding/json.
func TestFrequentEventsAreDecodedOnTheFastPath(t *testing.T) {
	for _, event := range []Event{
		MachineAdded{Environment: "production", Roles: []string{"api", "web"}, Origin: By("agent")},
		MachineCameOnline{number(1), number(2), number(3), AgentFlags{}, false}, AgentConnected{number(1), number(2), number(3), AgentFlags{}, false},
		MachineWentOffline{Connect: number(1), Reason: "silent"}, TokenUsed{number(3), "web-01", "cd", "ef"},
		PartClaimed{"shop", number(2), number(3)}, PartEnded{Project: "shop", State: PartSucceeded, Session: number(2)},
		DeploymentQueued{Kind: Automatic, Environment: "production", Release: "1.0", Reason: "behind",
			Unavailable: SkipUnavailable, Machines: []DeploymentMachine{
				{"web-01", []string{"a", "b"}, []ID{number(5), number(6)}, "behind"}, {Name: "web-02"},
			}},
		DeploymentEnded{number(7), DeploymentSucceeded, "", ID{}}, PartsReleased{Deployment: number(7), Machines: []string{"web-01"}},
	} {
		typeName, data := stored(t, event)
		v := reflect.New(reflect.TypeOf(event)).Elem()
		require.True(t, decodeFast(fastDecoders[typeName], data, v), "%s", data)
		require.Equal(t, event, v.Interface())
	}
}

func TestOtherDataIsDecodedByEncodingJSON(t *testing.T) {
	id := number(1).String()
	for name, data := range map[string]string{
		"white space":              `{"environment": "a"}`,
		"unsorted names":           `{"roles":["b"],"environment":"a"}`,
		"duplicate name":           `{"environment":"a","environment":"b"}`,
		"capitalized name":         `{"Environment":"a"}`,
		"unknown name":             `{"environment":"a","mood":"good"}`,
		"escape sequence":          `{"environment":"\u0061\n"}`,
		"invalid UTF-8":            `{"environment":"` + "\xff" + `"}`,
		"non-ASCII character":      `{"environment":"é"}`,
		"null":                     `{"environment":null,"roles":null}`,
		"empty list":               `{"roles":[]}`,
		"list with a null":         `{"roles":["a",null]}`,
		"truncated object":         `{"environment":"a","roles":["b"`,
		"trailing data":            `{"environment":"a"}}`,
		"trailing comma":           `{"environment":"a",}`,
		"number":                   `{"environment":1}`,
		"short id":                 `{"server":"` + id[1:] + `"}`,
		"id with an invalid digit": `{"server":"` + id[1:] + `g"}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, typeName := range []string{"machine.added/v1", "machine.came-online/v1"} {
				v := reflect.New(reflect.TypeOf(eventTypeByName[typeName].zero)).Elem()
				require.False(t, decodeFast(fastDecoders[typeName], []byte(data), v))
				requireSameAsEncodingJSON(t, typeName, []byte(data))
			}
		})
	}
}

// requireSameAsEncodingJSON requires that Decode returns what encoding/json returns.
func requireSameAsEncodingJSON(t *testing.T, typeName string, data []byte) {
	t.Helper()
	wanted := reflect.New(reflect.TypeOf(eventTypeByName[typeName].zero))
	failure := json.Unmarshal(data, wanted.Interface())
	event, err := Decode(typeName, data)
	if err != nil {
		if failure != nil && data[0] == '{' {
			require.ErrorContains(t, err, failure.Error())
		}
		return
	}
	require.NoError(t, failure)
	require.Equal(t, wanted.Elem().Interface(), event)
}

// FuzzFastDecode checks that the fast path and encoding/json decode any data to the same event.
func FuzzFastDecode(f *testing.F) {
	for _, event := range samples() {
		typeName, data := stored(f, event)
		f.Add(typeName, data)
		_, data, _ = Encode(event)
		f.Add(typeName, data)
	}
	f.Add("machine.came-online/v1", []byte(`{"instance":"","server":"0123ABCD-4567-89ef-0123-456789abcdef"}`))
	f.Fuzz(func(t *testing.T, typeName string, data []byte) {
		if k, known := eventTypeByName[typeName]; !known || k.upcast != nil || len(data) == 0 {
			return
		}
		requireSameAsEncodingJSON(t, typeName, data)
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, event := range []Event{
		MachineCameOnline{number(1), number(2), number(3), AgentFlags{}, false}, MachineAdded{Environment: "production", Roles: []string{"web"}},
	} {
		b.Run(Name(event), func(b *testing.B) {
			typeName, data := stored(b, event)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(typeName, data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
