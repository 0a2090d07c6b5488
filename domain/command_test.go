package domain

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fullCommands is one command of each name with every field set.
func fullCommands() []Command {
	all := make([]Command, len(commands))
	for i, row := range commands {
		v := reflect.New(reflect.TypeOf(row.zero)).Elem()
		fill(v)
		all[i] = v.Interface().(Command)
	}
	return all
}

// fill sets every field below v to a value that is not zero.
func fill(v reflect.Value) {
	switch v.Interface().(type) {
	case ID:
		v.Set(reflect.ValueOf(number(7)))
		return
	case time.Time:
		v.Set(reflect.ValueOf(sampleTime))
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
		v.Set(reflect.ValueOf(map[string]string{"b": "2", "a": "1"}))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}

// TestCommandContentsNeverChange holds what the ids of commands derive from. A changed line would make a command that is
// sent again after an upgrade look like another one.
func TestCommandContentsNeverChange(t *testing.T) {
	file := filepath.Join("testdata", "commands.json")
	golden := map[string]json.RawMessage{}
	if text, err := os.ReadFile(file); err == nil {
		require.NoError(t, json.Unmarshal(text, &golden))
	}
	for _, c := range fullCommands() {
		name := CommandName(c)
		if _, there := golden[name]; !there && *rewrite {
			golden[name] = CommandContent(c)
		}
		require.Contains(t, golden, name, "no golden content: go test ./domain -run CommandContents -rewrite writes it")
		if *rewrite && within(t, golden[name], CommandContent(c)) {
			golden[name] = CommandContent(c) // a field that was added
		}
		require.JSONEq(t, string(golden[name]), string(CommandContent(c)), "go test ./domain -run CommandContents -rewrite takes a new field down")
	}
	require.Len(t, golden, len(commands), "a name that was used once stays in the table")
	if *rewrite {
		text, err := json.MarshalIndent(golden, "", "  ")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, append(text, '\n'), 0o644))
	}
}

// within says that everything that a golden content says is still said.
func within(t *testing.T, golden, content []byte) bool {
	var a, b any
	require.NoError(t, json.Unmarshal(golden, &a))
	require.NoError(t, json.Unmarshal(content, &b))
	var holds func(a, b any) bool
	holds = func(a, b any) bool {
		was, is := a, b
		old, ok := was.(map[string]any)
		now, also := is.(map[string]any)
		if !ok || !also {
			return reflect.DeepEqual(was, is)
		}
		for name, value := range old {
			if !holds(value, now[name]) {
				return false
			}
		}
		return true
	}
	return holds(a, b)
}

func TestEveryFieldOfACommandIsPartOfItsContentOrLeftOutOnPurpose(t *testing.T) {
	var walk func(typ reflect.Type, path string)
	walk = func(typ reflect.Type, path string) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice:
			walk(typ.Elem(), path)
		case reflect.Struct:
			for i := range typ.NumField() {
				field := typ.Field(i)
				if typ == reflect.TypeFor[time.Time]() || field.Type == reflect.TypeFor[Origin]() {
					continue
				}
				require.NotEmpty(t, field.Tag.Get("json"), "%s.%s has no name in JSON, so it would not be part of the command's id", path, field.Name)
				walk(field.Type, path+"."+field.Name)
			}
		}
	}
	for _, row := range commands {
		walk(reflect.TypeOf(row.zero), row.name)
	}
}

func TestHowATimeOrAnEmptyListIsWrittenMakesNoOtherCommand(t *testing.T) {
	utc := sampleTime
	elsewhere := sampleTime.In(time.FixedZone("east", 7200))
	pin := SetPin{Project: "shop", Until: &utc}
	require.Equal(t, string(CommandContent(pin)), string(CommandContent(SetPin{Project: "shop", Until: &elsewhere})))
	require.Equal(t, string(CommandContent(Deploy{Project: "shop"})), string(CommandContent(Deploy{Project: "shop", Machines: []string{}})))
}

func TestEveryCommandHasOneName(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range commands {
		require.Regexp(t, `^[a-z]+\.[a-z-]+$`, row.name)
		require.False(t, seen[row.name], "%s stands for two commands", row.name)
		seen[row.name] = true
	}
}

func TestWhoAsksIsNoPartOfWhatIsAskedFor(t *testing.T) {
	ann := DeleteMachine{Name: "web-01", Origin: Origin{By: "token 1", Actor: Actor{Kind: TokenActor, ID: "1"}}}
	bob := DeleteMachine{Name: "web-01", Origin: By("somebody else")}
	require.Equal(t, string(CommandContent(ann)), string(CommandContent(bob)))
	require.Equal(t, `{"name":"web-01"}`, string(CommandContent(ann)), "zero fields and the origin are left out")
	require.NotEqual(t, string(CommandContent(ann)), string(CommandContent(DeleteMachine{Name: "web-02"})))
}

func TestAZeroThatSomebodyAskedForIsPartOfTheCommand(t *testing.T) {
	none := 0
	asked := Deploy{Project: "shop", Release: "1", Environment: "production", MaxParallel: &none}
	silent := Deploy{Project: "shop", Release: "1", Environment: "production"}
	require.NotEqual(t, string(CommandContent(asked)), string(CommandContent(silent)))
	at := AcceptRestore{Was: number(1), At: sampleTime}
	require.Equal(t, string(CommandContent(at)), string(CommandContent(AcceptRestore{Was: number(1)})), "when it is sent is no part of it")
}
