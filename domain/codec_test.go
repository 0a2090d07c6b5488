package domain

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "write missing fixtures; existing fixtures are never overwritten")

var sampleTime = time.Date(2026, 3, 14, 15, 9, 26, 535_000_000, time.UTC)

func sampleSettings() ProjectSettings {
	slots, healthyFor := Percent(25), Duration(2*time.Minute)
	return ProjectSettings{
		Roles:             []string{"api", "web"},
		MaxParallel:       Count(10),
		StopAfterFailures: 1,
		Unavailable:       FailUnavailable,
		HealthyFor:        Duration(5 * time.Minute),
		Attempts:          5,
		Backoff: Duration(
			2 * time.Minute,
		),
		Variables: map[string]string{"PORT": "80", "TEXT": "<&>\u2028é\n"},
		Secrets:   []string{"DB_PASSWORD"},
		Steps: []Step{
			{
				Name:    "install",
				Run:     "set -e\n./install.sh \"$PORT\"\n",
				Folder:  "/srv/shop",
				Timeout: Duration(10 * time.Minute),
				Retries: 2,
			},
		},
		Overrides: Overrides{
			Environments: map[string]Override{
				"production": {Values{map[string]string{"PORT": "443"}, []string{"TLS_KEY"}}, &slots, &slots, &healthyFor},
			},
			Roles: map[string]Override{"web": {Values{map[string]string{"WORKERS": "8"}, []string{"WEB_KEY"}}, &slots, nil, nil}},
		},
	}
}

// samples returns at least one event of each type in its newest version, with every field set. Types that are missing
// in realisticSamples get generated values.
func samples() []Event {
	all := realisticSamples()
	for _, k := range eventTypes {
		ofType := func(e Event) bool { return reflect.TypeOf(e) == reflect.TypeOf(k.zero) }
		if k.upcast == nil && !slices.ContainsFunc(all, ofType) {
			v := reflect.New(reflect.TypeOf(k.zero)).Elem()
			fill(v)
			all = append(all, v.Interface().(Event))
		}
	}
	return all
}

// realisticSamples returns events with realistic values.
func realisticSamples() []Event {
	settings, policy := sampleSettings(), PolicySettings{
		OfflineAfter: Duration(30 * time.Second),
		LostAfter:    Duration(10 * time.Minute),
		HealthCheck: &HealthCheck{
			Every:   Duration(time.Minute),
			Timeout: Duration(30 * time.Second),
			Script:  "./healthy.sh\n",
		},
		CleanUp: &CleanUp{After: Duration(24 * time.Hour), MaxShare: 20},
	}
	at, ann := sampleTime, Origin{"ann", Actor{PersonActor, "p-1", ViaCLI, "0123456789ab", "laptop"}}
	settings.MaxFailures = &Amount{1, true} // beside stopAfterFailures, as no version of drover writes it
	return []Event{
		MachineAdded{"production", []string{"api", "web"}, "tame", "0123456789ab", true, true, ann},
		MachineChanged{"staging", []string{"web"}, "tame", true, ann}, MachineReimageAllowed{at, ann},
		MachineEnabled{ann}, MachineDisabled{ann},
		MachineCameOnline{number(1), number(2), number(3), AgentFlags{"staging", []string{"db"}, true, "tame"}, true}, MachineWentOffline{number(4), number(2), number(3), "silent"},
		AgentConnected{number(1), number(2), number(3), AgentFlags{"staging", []string{"db"}, true, "tame"}, true},
		MachineHealthChanged{Warning, "disk is 91 % full", number(2)},
		MachineConditionsChanged{[]Condition{{DiskFull, "/var/lib/drover: no space left on device"}}, number(2)},
		MachineDeleted{"clean-up", ann}, MachineCleanUpHeld{7, 20},
		ProjectDefined{settings, ann}, ProjectEnabled{ann}, ProjectDisabled{ann}, ProjectDeleted{ann},
		TriggerDefined{
			"newcomers",
			TriggerSettings{[]Category{AvailableGroup, Deleted}, []string{"*"}, []string{"web"}, true},
			ann,
		},
		TriggerEnabled{"newcomers", ann}, TriggerDisabled{"newcomers", ann}, TriggerDeleted{"newcomers", ann},
		ReleaseCreated{number(10), "1.4.3", settings.Steps, settings.Variables, settings.Secrets,
			map[string]Values{"production": {map[string]string{"PORT": "443"}, []string{"TLS_KEY"}}},
			map[string]Values{"web": {map[string]string{"WORKERS": "8"}, []string{"WEB_KEY"}}},
			map[string]string{"TEXT": "once"}, "fixes the cart", "0a1b2c3d", "https://example.com/1.4.3", ann},
		DeploymentQueued{
			Automatic,
			"production",
			"1.4.3",
			[]DeploymentMachine{{"web-01", []string{"newcomers"}, []ID{number(5), number(6)}, "behind"}},
			[]string{"web-02"},
			[]string{"web"},
			true,
			number(8),
			Count(10),
			1,
			FailUnavailable,
			&Amount{1, true},
			Duration(5 * time.Minute),
			map[string]int{"web": 2},
			Waves{Count(1), Percent(10), Percent(100)},
			Duration(5 * time.Minute),
			"behind",
			ann,
		},
		PartsReleased{
			number(7),
			[]string{"web-01", "web-02"},
			2,
		}, PartsWithdrawn{number(7), []string{"web-02"}, Superseded},
		DeploymentCancelled{number(7), true, "web-01", "it hangs", ann}, DeploymentEnded{number(7), DeploymentFailed, "stop-after-failures", number(8)},
		PinSet{"production", "1.4.3", &at, "fair week", ann}, PinLifted{"production", Lifted, ann},
		HoldSet{"web-01", number(3), "1.4.3", true, &at, "noisy disk", ann}, HoldLifted{"web-01", ManualHold, Expired, ann},
		PartClaimed{"shop", number(2), number(3)},
		PartEnded{"shop", PartFailed, StepFailed, "install", 3, "exit status 3", number(2)},
		PartVerified{"shop", PartFailed, MachineIsUnhealthy, number(9)},
		EnvironmentDefined{ann}, EnvironmentDeleted{ann}, PolicyDefined{policy, ann}, PolicyDeleted{ann},
		TokenCreated{
			TokenSettings{Join: true, Scope: DeployScope, Permission: Deployer, Name: "laptop", Person: "p-1", Uses: 3,
				Until: &at, Environments: []string{"production"}, Roles: []string{"web"}, Projects: []string{"shop"},
				Groups: []string{"ops"}, AnyEnvironment: true, MaxMachines: 1000, Machine: "web-01", Policy: "tame"},
			strings.Repeat("ab", 32),
			"SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy",
			ann,
		},
		TokenUsed{number(3), "web-01", strings.Repeat("cd", 32), "SCRAM-SHA-256$4096:c2FsdA==$YQ==:Yg=="},
		TokenRevoked{ann},
		VerifierRegistered{number(3), "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy"},
		ServerKeyCreated{"dsk_" + strings.Repeat("a", 56), strings.Repeat("QUFB", 10) + "QUE=", ann},
		AccessDefined{AccessSettings{AccessWho{[]string{"p-1"}, []string{"ops"}, []string{"0123456789ab"}}, Deployer,
			[]string{"shop"}, []string{"production"}}, ann}, AccessDeleted{ann},
		ServerStarted{1, "0.1.0", "http://127.0.0.1:7070"}, WatchPassed{number(8), Duration(time.Minute)},
		StreamCleared{"project/shop", ann}, LogRestored{number(9), at, []string{"web-01"}, ann},
		MachineMemoryAccepted{ann}, MachineMemoryCleared{number(1), []ID{number(2)}},
	}
}

// fixtures lists the fixture files of an event type, oldest first. Each file holds the data of one event as some
// version of drover wrote it. A type gets another file when its events get another field.
func fixtures(t *testing.T, typeName string) []string {
	base := filepath.Join("testdata", "events", strings.ReplaceAll(typeName, "/", "-"))
	later, err := filepath.Glob(base + ".[0-9].json")
	require.NoError(t, err)
	slices.Sort(later)
	if _, err := os.Stat(base + ".json"); err != nil {
		return later
	}
	return append([]string{base + ".json"}, later...)
}

// TestDecodeReadsEventsOfEveryVersion decodes the fixtures. Fixtures are added, with -rewrite, and never changed. The
// newest fixture of each type sets every field.
func TestDecodeReadsEventsOfEveryVersion(t *testing.T) {
	if *rewrite {
		writeMissingFixtures(t)
	}
	for _, typeName := range TypeNames() {
		files := fixtures(t, typeName)
		require.NotEmpty(
			t,
			files,
			"%s has no fixture: write it with go test ./domain -run DecodeReads -rewrite",
			typeName,
		)
		for i, file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) {
				data, err := os.ReadFile(file)
				require.NoError(t, err)
				event, err := Decode(typeName, data)
				require.NoError(t, err)
				if i == len(files)-1 {
					requireEveryField(t, reflect.ValueOf(event), Name(event))
				}
				if TypeName(event) != typeName {
					return // older versions decode to the newest version
				}
				again, encoded, err := Encode(event)
				require.NoError(t, err)
				require.Equal(t, typeName, again)
				require.JSONEq(t, string(data), string(encoded))
			})
		}
	}
}

// requireEveryField requires that no field below v is zero, so that a renamed field is noticed.
func requireEveryField(t *testing.T, v reflect.Value, path string) {
	require.False(t, v.IsZero(), "%s is zero: the field was renamed, or the fixture does not set it", path)
	if v.Type() == reflect.TypeFor[Amount]() {
		return // its two fields are one value
	}
	switch v.Kind() {
	case reflect.Pointer:
		requireEveryField(t, v.Elem(), path)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Struct {
			requireEveryField(t, v.Index(0), path+"[0]")
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				requireEveryField(t, v.Field(i), path+"."+v.Type().Field(i).Name)
			}
		}
	}
}

// writeMissingFixtures writes a fixture for each sample that equals no existing fixture.
func writeMissingFixtures(t *testing.T) {
	require.NoError(t, os.MkdirAll(filepath.Join("testdata", "events"), 0o755))
	for _, event := range samples() {
		typeName, data, err := Encode(event)
		require.NoError(t, err)
		var text bytes.Buffer
		require.NoError(t, json.Indent(&text, data, "", "  "))
		text.WriteByte('\n')
		files := fixtures(t, typeName)
		isSample := func(file string) bool {
			existing, err := os.ReadFile(file)
			return err == nil && bytes.Equal(existing, text.Bytes())
		}
		if slices.ContainsFunc(files, isSample) {
			continue
		}
		name := strings.ReplaceAll(typeName, "/", "-") + ".json"
		if len(files) > 0 {
			name = fmt.Sprintf("%s.%d.json", strings.ReplaceAll(typeName, "/", "-"), len(files)+1)
		}
		require.NoError(t, os.WriteFile(filepath.Join("testdata", "events", name), text.Bytes(), 0o644))
	}
}

func TestEveryFixtureBelongsToAKnownType(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "events", "*.json"))
	require.NoError(t, err)
	wanted := map[string]bool{}
	for _, typeName := range TypeNames() {
		for _, file := range fixtures(t, typeName) {
			wanted[file] = true
		}
	}
	for _, file := range files {
		require.True(
			t,
			wanted[file],
			"%s: logs may contain this event type, but the table of event types no longer has it",
			file,
		)
	}
}

func TestEncodedSamplesDecodeToEqualEvents(t *testing.T) {
	seen := map[string]bool{}
	for _, event := range samples() {
		typeName, data, err := Encode(event)
		require.NoError(t, err)
		require.Regexp(t, `^[a-z-]+\.[a-z-]+/v[1-9][0-9]*$`, typeName)
		require.False(t, seen[typeName], "%s has two samples", typeName)
		seen[typeName] = true
		back, err := Decode(typeName, data)
		require.NoError(t, err)
		require.Equal(t, event, back)
		require.Equal(t, Name(event), NameOfType(typeName))
	}
	for _, k := range eventTypes {
		require.True(t, seen[k.name] || k.upcast != nil, "%s has no sample", k.name)
	}
}

func TestDecodeDistinguishesUnknownTypesFromInvalidData(t *testing.T) {
	for name, c := range map[string]struct {
		typeName, data string
		unknown        bool
	}{
		"unknown type":            {"machine.sang/v1", `{}`, true},
		"unknown version":         {"machine.added/v2", `{}`, true},
		"empty type":              {"", `{}`, true},
		"truncated JSON":          {"machine.added/v1", `{"environment":`, false},
		"no data":                 {"machine.added/v1", ``, false},
		"null":                    {"machine.added/v1", `null`, false},
		"list":                    {"machine.added/v1", `[]`, false},
		"field with another type": {"machine.added/v1", `{"environment": 7}`, false},
		"invalid id":              {"machine.came-online/v1", `{"server": "x"}`, false},
		"invalid duration":        {"watch.passed/v1", `{"span": "ages"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode(c.typeName, []byte(c.data))
			require.Error(t, err)
			require.Equal(t, c.unknown, errors.Is(err, ErrUnknownType))
		})
	}
	t.Run("unknown fields are ignored", func(t *testing.T) {
		event, err := Decode("machine.enabled/v1", []byte(`{"by":"ann","mood":"good"}`))
		require.NoError(t, err)
		require.Equal(t, MachineEnabled{Origin: By("ann")}, event)
	})
	require.Equal(t, "machine.sang/v1", NameOfType("machine.sang/v1"))
}

func TestParseIDAcceptsBothCasesAndNothingElse(t *testing.T) {
	const text = "0123abcd-4567-89ef-0123-456789abcdef"
	id, err := ParseID(strings.ToUpper(text))
	require.NoError(t, err)
	require.Equal(t, text, id.String())
	for _, bad := range []string{
		"", text + "0", strings.ReplaceAll(text, "-", ""), strings.Replace(text, "a", "g", 1), strings.Repeat("-", 36),
	} {
		_, err := ParseID(bad)
		require.ErrorContains(t, err, "invalid id")
	}
	require.True(t, ID{}.IsZero())
	machine := PartStream(id, "web-01")
	kind, rest := SplitStream(machine)
	deployment, name, err := ParsePartStream(rest)
	require.NoError(t, err)
	require.Equal(t, []any{PartStreams, id, "web-01"}, []any{kind, deployment, name})
}

// FuzzDecode checks that Decode never panics, and that encoding and decoding an event does not change it.
func FuzzDecode(f *testing.F) {
	for _, event := range samples() {
		typeName, data, _ := Encode(event)
		f.Add(typeName, data)
	}
	f.Add("machine.added/v1", []byte(`null`))
	f.Add("future/v9", []byte(`{`))
	f.Fuzz(func(t *testing.T, typeName string, data []byte) {
		event, err := Decode(typeName, data)
		if err != nil {
			require.Nil(t, event)
			return
		}
		newest, encoded, err := Encode(event)
		if err != nil {
			require.ErrorContains(t, err, "Time.MarshalJSON") // a year after 9999, which no version of drover writes
			return
		}
		again, err := Decode(newest, encoded)
		require.NoError(t, err)
		_, twice, err := Encode(again)
		require.NoError(t, err)
		require.Equal(t, string(encoded), string(twice))
		foldEverywhere(event)
	})
}

// foldEverywhere folds an event into each aggregate. Errors are fine; a panic fails the fuzz test.
func foldEverywhere(e Event) {
	_ = (&Machine{Name: "web-01"}).Evolve(number(1), e)
	_ = NewProject("shop").Evolve(number(1), e)
	(&Token{}).Evolve(e)
	CategoryOf(e)
}
