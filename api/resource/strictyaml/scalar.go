package strictyaml

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// maxWhole is the limit of whole numbers, far above the size of any fleet.
const maxWhole = 1_000_000

// scalar decodes text, a number, a boolean, a duration, a percentage or an amount.
func (d *Decoder) scalar(to reflect.Value, v *Value, f field) bool {
	if f.tag.Get("unit") == "%" {
		return d.percent(to, v, f)
	}
	if isAmount(to.Type()) {
		return d.amount(to, v, f)
	}
	switch to.Kind() {
	case reflect.String:
		return d.text(to, v, f)
	case reflect.Int64:
		return d.duration(to, v, f)
	case reflect.Int:
		return d.whole(to, v, f)
	case reflect.Bool:
		if v.Shape != Boolean {
			return d.mismatch(v, f, "true or false", "")
		}
		to.SetBool(strings.EqualFold(v.Text, "true"))
		return true
	}
	panic(fmt.Sprintf("strictyaml: %s has unsupported type %s", f.path, to.Type()))
}

// text also accepts numbers and booleans, as they are written.
func (d *Decoder) text(to reflect.Value, v *Value, f field) bool {
	switch v.Shape {
	case Text, Number, Boolean:
		to.SetString(v.Text)
		return true
	case Nothing:
		return d.mismatch(v, f, "text", `write "" for empty text`)
	}
	return d.mismatch(v, f, "text", "")
}

func (d *Decoder) whole(to reflect.Value, v *Value, f field) bool {
	n, err := strconv.Atoi(v.Text)
	switch {
	case v.Shape != Number:
		return d.mismatch(v, f, "a whole number", "")
	case errors.Is(err, strconv.ErrRange) || n > maxWhole || n < -maxWhole:
		return d.Report(v.At, fmt.Sprintf("invalid %s %.40s", f.path, v.Text), fmt.Sprintf("use at most %d", maxWhole))
	case err != nil:
		return d.mismatch(v, f, "a whole number in decimal digits", "")
	}
	to.SetInt(int64(n))
	return true
}

func (d *Decoder) duration(to reflect.Value, v *Value, f field) bool {
	parsed, err := time.ParseDuration(v.Text)
	switch {
	case v.Shape == Number:
		return d.mismatch(
			v,
			f,
			"a duration with a unit",
			fmt.Sprintf("write %.20[1]ss, %.20[1]sm or %.20[1]sh", v.Text),
		)
	case v.Shape != Text || err != nil:
		return d.mismatch(v, f, "a duration", "such as 30s, 10m or 24h")
	}
	to.SetInt(int64(parsed))
	return true
}

// isAmount reports whether a type is a struct that reads itself from text, as amounts do.
func isAmount(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// amount decodes a whole number or a percentage.
func (d *Decoder) amount(to reflect.Value, v *Value, f field) bool {
	number := reflect.New(reflect.TypeFor[int]()).Elem()
	digits, sign := strings.CutSuffix(v.Text, "%")
	_, err := strconv.Atoi(digits)
	switch {
	case v.Shape == Number && !d.whole(number, v, f):
		return false
	case v.Shape != Number && (v.Shape != Text || !sign || err != nil):
		return d.mismatch(v, f, "a whole number or a percentage", "such as 10 or 25%")
	}
	return to.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(v.Text)) == nil //nolint:forcetypeassert // isAmount checked the type
}

func (d *Decoder) percent(to reflect.Value, v *Value, f field) bool {
	digits, sign := strings.CutSuffix(v.Text, "%")
	n, err := strconv.Atoi(digits)
	if v.Shape != Text || !sign || err != nil {
		return d.mismatch(v, f, "a percentage", "such as 20%")
	}
	to.SetInt(int64(n))
	return true
}
