package domain

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// stored is an event's data as logs give it back; samples have no number that a float would change.
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

// TestTheMostFrequentFactsAreReadWithoutEncodingJSON turns red when a field or a spelling sends them the slow way.
func TestTheMostFrequentFactsAreReadWithoutEncodingJSON(t *testing.T) {
	for _, event := range []Event{
		MachineAdded{Environment: "production", Roles: []string{"api", "web"}, Origin: By("agent")},
		MachineCameOnline{number(1), number(2), number(3)}, AgentConnected{number(1), number(2), number(3)},
		MachineWentOffline{Connect: number(1), Reason: "silent"}, TokenUsed{number(3), "web-01", "cd"},
		PartClaimed{"shop", number(2), number(3)}, PartEnded{Project: "shop", State: PartSucceeded, Session: number(2)},
		DeploymentQueued{Kind: Automatic, Environment: "production", Release: "1.0", Reason: "behind", Unavailable: SkipUnavailable,
			Machines: []DeploymentMachine{{"web-01", []string{"a", "b"}, []ID{number(5), number(6)}, "behind"}, {Name: "web-02"}}},
		DeploymentEnded{number(7), DeploymentSucceeded, ""}, PartsReleased{number(7), []string{"web-01"}},
	} {
		typeName, data := stored(t, event)
		v := reflect.New(reflect.TypeOf(event)).Elem()
		require.True(t, readPlain(plainByName[typeName], data, v), "%s", data)
		require.Equal(t, event, v.Interface())
	}
}

func TestWhatIsNotPlainIsReadAsEncodingJSONReadsIt(t *testing.T) {
	id := number(1).String()
	for name, data := range map[string]string{
		"white space":              `{"environment": "a"}`,
		"names in another order":   `{"roles":["b"],"environment":"a"}`,
		"a name that comes twice":  `{"environment":"a","environment":"b"}`,
		"a name in capitals":       `{"Environment":"a"}`,
		"a name of the future":     `{"environment":"a","mood":"good"}`,
		"an escape":                `{"environment":"\u0061\n"}`,
		"a letter that is not one": `{"environment":"` + "\xff" + `"}`,
		"a letter of another kind": `{"environment":"é"}`,
		"null":                     `{"environment":null,"roles":null}`,
		"an empty list":            `{"roles":[]}`,
		"a list with a null":       `{"roles":["a",null]}`,
		"half an object":           `{"environment":"a","roles":["b"`,
		"something behind":         `{"environment":"a"}}`,
		"a comma too many":         `{"environment":"a",}`,
		"a number":                 `{"environment":1}`,
		"an id that is none":       `{"server":"` + id[1:] + `"}`,
		"an id with a wrong digit": `{"server":"` + id[1:] + `g"}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, typeName := range []string{"machine.added/v1", "machine.came-online/v1"} {
				require.False(t, readPlain(plainByName[typeName], []byte(data), reflect.New(reflect.TypeOf(kindByName[typeName].zero)).Elem()))
				compare(t, typeName, []byte(data))
			}
		})
	}
}

// compare asks that Decode says of data what encoding/json says.
func compare(t *testing.T, typeName string, data []byte) {
	t.Helper()
	wanted := reflect.New(reflect.TypeOf(kindByName[typeName].zero))
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

// FuzzPlain: whatever the bytes, reading them without encoding/json gives what encoding/json gives.
func FuzzPlain(f *testing.F) {
	for _, event := range samples() {
		typeName, data := stored(f, event)
		f.Add(typeName, data)
		_, data, _ = Encode(event)
		f.Add(typeName, data)
	}
	f.Add("machine.came-online/v1", []byte(`{"instance":"","server":"0123ABCD-4567-89ef-0123-456789abcdef"}`))
	f.Fuzz(func(t *testing.T, typeName string, data []byte) {
		if k, known := kindByName[typeName]; !known || k.upcast != nil || len(data) == 0 {
			return
		}
		compare(t, typeName, data)
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, event := range []Event{MachineCameOnline{number(1), number(2), number(3)}, MachineAdded{Environment: "production", Roles: []string{"web"}}} {
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
