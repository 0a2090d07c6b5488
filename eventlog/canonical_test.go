package eventlog

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestCanonicalReturnsOneFormForEqualData(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{` { "b" : 1 , "a" : [ 1 , { "d":2, "c":3 } ] } `, `{"a":[1,{"c":3,"d":2}],"b":1}`},
		{`{"n":1.0,"m":1e3,"k":12345678901234567890}`, `{"k":12345678901234567890,"m":1e3,"n":1.0}`},
		{`{"a":"<&>"}`, `{"a":"<&>"}`},
		{`{"a":"\u003c\/\u00e9\n\u2028"}`, "{\"a\":\"</é\\u000a\u2028\"}"},
		{`{"a":"\ud83d\ude80\ufffd"}`, "{\"a\":\"🚀\ufffd\"}"},
		{`{"\u0062":1,"a":2}`, `{"a":2,"b":1}`},
		{`{"a":"\"\\"}`, `{"a":"\"\\"}`},
		{`{}`, `{}`}, {`[ ]`, `[]`}, {` true `, `true`},
	} {
		got, err := Canonical([]byte(c.in))
		require.NoError(t, err, c.in)
		require.Equal(t, c.want, string(got), c.in)
	}
}

func TestCanonicalRefusesAmbiguousData(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":1,"a":2}`:        `data has the duplicate name "a" in one object`,
		`{"a":1,"\u0061":2}`:   `data has the duplicate name "a" in one object`,
		`{"a":"\ud83d"}`:       `data has half a surrogate pair`,
		`{"a":"\ude80x"}`:      `data has half a surrogate pair`,
		`{"a":"\ud83d\u0041"}`: `data has half a surrogate pair`,
		"{\"a\":\"\xff\"}":     `data is not UTF-8`,
		`{"a":1} x`:            `data is not valid JSON at byte 9`,
		`{"a":01}`:             `data is not valid JSON at byte 7`,
		``:                     `data is not valid JSON`,
		strings.Repeat("[", 101) + strings.Repeat("]", 101): `data is nested deeper than 100 levels`,
	} {
		_, err := Canonical([]byte(in))
		require.ErrorContains(t, err, want, in)
	}
}

// value generates any JSON value that encoding/json can write.
func value(depth int) *rapid.Generator[any] {
	leaf := rapid.OneOf(rapid.Just(any(nil)), rapid.Map(rapid.Bool(), toAny[bool]), rapid.Map(rapid.Int(), toAny[int]),
		rapid.Map(rapid.Float64Range(-1e9, 1e9), toAny[float64]), rapid.Map(rapid.String(), toAny[string]))
	if depth == 0 {
		return leaf
	}
	return rapid.OneOf(leaf,
		rapid.Map(rapid.SliceOfN(value(depth-1), 0, 4), toAny[[]any]),
		rapid.Map(rapid.MapOfN(rapid.String(), value(depth-1), 0, 5), toAny[map[string]any]))
}

func toAny[T any](v T) any { return v }

func TestCanonicalPreservesTheValueAndIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		meant := value(3).Draw(t, "value")
		written, err := json.MarshalIndent(meant, " ", "\t")
		require.NoError(t, err)
		canonical, err := Canonical(written)
		require.NoError(t, err)
		require.JSONEq(t, string(written), string(canonical))
		again, err := Canonical(canonical)
		require.NoError(t, err)
		require.Equal(t, string(canonical), string(again))
	})
}

func FuzzCanonicalIsIdempotent(f *testing.F) {
	f.Add([]byte(`{"a":[1,"\u00e9",{"c":null}],"b":-0.5e+7}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		canonical, err := Canonical(data)
		if err != nil {
			return
		}
		require.True(t, json.Valid(canonical), "%q", canonical)
		again, err := Canonical(canonical)
		require.NoError(t, err)
		require.Equal(t, string(canonical), string(again))
	})
}
