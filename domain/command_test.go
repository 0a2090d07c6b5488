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
		require.JSONEq(t, string(golden[name]), string(CommandContent(c)))
	}
	require.Len(t, golden, len(commands), "a name that was used once stays in the table")
	if *rewrite {
		text, err := json.MarshalIndent(golden, "", "  ")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, append(text, '\n'), 0o644))
	}
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
