package domain

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sampleCommands returns one command of each type with every field set.
func sampleCommands() []Command {
	all := make([]Command, len(commands))
	for i, row := range commands {
		v := reflect.New(reflect.TypeOf(row.zero)).Elem()
		fill(v)
		all[i] = v.Interface().(Command)
	}
	return all
}

// fill sets every field below v to a non-zero value.
func fill(v reflect.Value) {
	switch v.Interface().(type) {
	case ID:
		v.Set(reflect.ValueOf(number(7)))
		return
	case time.Time:
		v.Set(reflect.ValueOf(sampleTime))
		return
	case Amount: // with the same JSON as an int
		v.Set(reflect.ValueOf(Count(5)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		if v.Type() == reflect.TypeFor[map[string]string]() {
			v.Set(reflect.ValueOf(map[string]string{"b": "2", "a": "1"}))
			return
		}
		item := reflect.New(v.Type().Elem()).Elem()
		fill(item)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("name"), item)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}

// TestCommandContentsNeverChange protects the contents that command ids derive from. If a content changed, a command
// that is sent again after an upgrade would look like a different command.
func TestCommandContentsNeverChange(t *testing.T) {
	file := filepath.Join("testdata", "commands.json")
	golden := map[string]json.RawMessage{}
	if text, err := os.ReadFile(file); err == nil {
		require.NoError(t, json.Unmarshal(text, &golden))
	}
	for _, c := range sampleCommands() {
		name := CommandName(c)
		if _, exists := golden[name]; !exists && *rewrite {
			golden[name] = CommandContent(c)
		}
		require.Contains(
			t,
			golden,
			name,
			"no golden content: write it with go test ./domain -run CommandContents -rewrite",
		)
		if *rewrite && onlyAdds(t, golden[name], CommandContent(c)) {
			golden[name] = CommandContent(c)
		}
		require.JSONEq(t, string(golden[name]), string(CommandContent(c)),
			"after adding a field, run go test ./domain -run CommandContents -rewrite")
	}
	require.Len(t, golden, len(commands), "names are never removed from the table")
	if *rewrite {
		text, err := json.MarshalIndent(golden, "", "  ")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, append(text, '\n'), 0o644))
	}
}

// onlyAdds reports whether content has every member of golden with the same value.
func onlyAdds(t *testing.T, golden, content []byte) bool {
	var before, after any
	require.NoError(t, json.Unmarshal(golden, &before))
	require.NoError(t, json.Unmarshal(content, &after))
	var contains func(before, after any) bool
	contains = func(before, after any) bool {
		oldMembers, wasObject := before.(map[string]any)
		newMembers, isObject := after.(map[string]any)
		if !wasObject || !isObject {
			return reflect.DeepEqual(before, after)
		}
		for name, value := range oldMembers {
			if !contains(value, newMembers[name]) {
				return false
			}
		}
		return true
	}
	return contains(before, after)
}

func TestEveryCommandFieldHasAJSONName(t *testing.T) {
	var walk func(typ reflect.Type, path string)
	walk = func(typ reflect.Type, path string) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice:
			walk(typ.Elem(), path)
		case reflect.Struct:
			for i := range typ.NumField() {
				field := typ.Field(i)
				if typ == reflect.TypeFor[time.Time]() || typ == reflect.TypeFor[Amount]() || field.Type == reflect.TypeFor[Origin]() {
					continue
				}
				require.NotEmpty(
					t,
					field.Tag.Get("json"),
					"%s.%s has no JSON name, so it would not be part of the command's id; use \"-\" to leave it out",
					path,
					field.Name,
				)
				walk(field.Type, path+"."+field.Name)
			}
		}
	}
	for _, row := range commands {
		walk(reflect.TypeOf(row.zero), row.name)
	}
}

func TestCommandContentIgnoresTimeZonesAndEmptyLists(t *testing.T) {
	utc := sampleTime
	local := sampleTime.In(time.FixedZone("east", 7200))
	pin := SetPin{Project: "shop", Until: &utc}
	require.Equal(t, string(CommandContent(pin)), string(CommandContent(SetPin{Project: "shop", Until: &local})))
	require.Equal(
		t,
		string(CommandContent(Deploy{Project: "shop"})),
		string(CommandContent(Deploy{Project: "shop", Machines: []string{}})),
	)
}

func TestCommandNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range commands {
		require.Regexp(t, `^[a-z]+\.[a-z-]+$`, row.name)
		require.False(t, seen[row.name], "two commands have the name %s", row.name)
		seen[row.name] = true
	}
}

func TestCommandContentExcludesTheOrigin(t *testing.T) {
	ann := DeleteMachine{Name: "web-01", Origin: Origin{By: "token 1", Actor: Actor{Kind: TokenActor, ID: "1"}}}
	bob := DeleteMachine{Name: "web-01", Origin: By("somebody else")}
	require.Equal(t, string(CommandContent(ann)), string(CommandContent(bob)))
	require.Equal(t, `{"name":"web-01"}`, string(CommandContent(ann)), "zero fields and the origin are left out")
	require.NotEqual(t, string(CommandContent(ann)), string(CommandContent(DeleteMachine{Name: "web-02"})))
}

func TestCommandContentIncludesExplicitZeros(t *testing.T) {
	zero := Amount{}
	explicit := Deploy{Project: "shop", Release: "1", Environment: "production", MaxParallel: &zero}
	omitted := Deploy{Project: "shop", Release: "1", Environment: "production"}
	require.NotEqual(t, string(CommandContent(explicit)), string(CommandContent(omitted)))
	at := AcceptRestore{Was: number(1), At: sampleTime}
	require.Equal(
		t,
		string(CommandContent(at)),
		string(CommandContent(AcceptRestore{Was: number(1)})),
		"the time of sending is left out",
	)
}

// TestCommandsThatRemovePowerAreListed fails for a new command until it is listed in one of the two classes.
func TestCommandsThatRemovePowerAreListed(t *testing.T) {
	removes := []string{"machine.delete", "machine.set-enabled", "project.delete", "project.set-enabled",
		"trigger.delete", "trigger.set-enabled", "environment.delete", "policy.delete", "token.revoke",
		"deployment.cancel", "hold.set", "release.retire", "log.rotate-server-key", "access.delete"}
	others := []string{"machine.apply", "machine.connect", "machine.disconnect", "machine.report-health",
		"project.apply", "trigger.apply", "release.create", "release.restore", "deployment.deploy", "deployment.roll-back",
		"deployment.retry", "deployment.retry-parts", "deployment.accept", "pin.set", "pin.lift", "hold.lift", "part.claim", "part.end",
		"environment.apply",
		"policy.apply", "token.create", "token.use", "token.register-verifier", "stream.clear", "log.accept-restore", "machine.report-lost-state",
		"machine.return", "machine.clear-memory", "machine.accept-memory", "machine.reimage", "access.apply",
		"machine.report-conditions"}
	for _, row := range commands { // the zero values of set-enabled disable
		require.Equal(t, RemovesPower(row.zero), slices.Contains(removes, row.name), row.name)
		require.Equal(t, !RemovesPower(row.zero), slices.Contains(others, row.name), row.name)
	}
	for _, c := range []Command{SetMachineEnabled{Enabled: true}, SetProjectEnabled{Enabled: true},
		SetTriggerEnabled{Enabled: true}} {
		require.False(t, RemovesPower(c), CommandName(c))
	}
}
