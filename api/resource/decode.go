package resource

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/droverhq/drover/domain"
)

// decoder reads the values of one document and reports what does not fit.
type decoder struct {
	src    *source
	found  *findings
	kind   Kind
	places map[string]place // of what other documents may be asked for
	wrong  bool
}

// into reads one value and keeps it; it says false after it has reported a problem. The path is the
// value's own, such as spec.healthCheck.every.
type into func(d *decoder, v *value, path string) bool

// slot is one key of a mapping.
type slot struct {
	key      string
	into     into
	required string // an example for the hint; empty: the key may be left out
}

func (d *decoder) report(at place, reason, hint string) bool {
	d.wrong = true
	d.found.add(d.src.problem(at, reason, hint))
	return false
}

func (d *decoder) reject(at place, r *domain.Rejection) bool {
	return r == nil || d.report(at, r.Reason, r.Hint)
}

func (d *decoder) wants(v *value, path, what, hint string) bool {
	if path == "" {
		return d.report(v.at, fmt.Sprintf("the document is %s, not %s", v.describe(), what), hint)
	}
	return d.report(v.at, fmt.Sprintf("%s wants %s, not %s", path, what, v.describe()), hint)
}

// object reads a mapping with these keys and no others. A key with nothing after it is left out.
func object(slots ...slot) into {
	return func(d *decoder, v *value, path string) bool {
		if v.shape != mapping {
			return d.wants(v, path, "a mapping", "keys: "+strings.Join(keysOf(slots), ", "))
		}
		ok := true
		for _, f := range v.fields {
			i := slices.IndexFunc(slots, func(s slot) bool { return s.key == f.name })
			switch {
			case i < 0:
				ok = d.report(f.at, d.unknown(f.name, path), didYouMean(f.name, keysOf(slots)))
			case f.value.shape != nothing:
				below := join(path, f.name)
				d.places[below] = f.value.at
				ok = slots[i].into(d, f.value, below) && ok
			}
		}
		for _, s := range slots {
			if f := v.get(s.key); s.required != "" && (f == nil || f.value.shape == nothing) {
				ok = d.report(v.at, join(path, s.key)+" is missing", s.required)
			}
		}
		return ok
	}
}

func (d *decoder) unknown(key, path string) string {
	switch {
	case path == "":
		return fmt.Sprintf("unknown key %.80q in a document", key)
	case d.kind == "":
		return fmt.Sprintf("unknown key %.80q in %s", key, path)
	case d.kind == Environment && path == "spec":
		return fmt.Sprintf("unknown key %.80q: the spec of an Environment is empty", key)
	}
	return fmt.Sprintf("unknown key %.80q in %s of a %s", key, path, d.kind)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func keysOf(slots []slot) []string {
	keys := make([]string, len(slots))
	for i, s := range slots {
		keys[i] = s.key
	}
	return keys
}

// and asks the domain about what was read, at its place.
func (read into) and(check func() *domain.Rejection) into {
	return func(d *decoder, v *value, path string) bool {
		return read(d, v, path) && d.reject(v.at, check())
	}
}

// notZero refuses a zero that was written, where zero is what stands for a key that was left out.
func notZero[T int | domain.Duration](name string, to *T, hint string) func() *domain.Rejection {
	return func() *domain.Rejection {
		if *to != 0 {
			return nil
		}
		return &domain.Rejection{Kind: domain.Invalid, Reason: "invalid " + name + " 0", Hint: hint}
	}
}

// words reads text; what looks like a number or a truth is taken letter by letter.
func words[T ~string](to *T) into {
	return func(d *decoder, v *value, path string) bool {
		if v.shape != text && v.shape != number && v.shape != boolean {
			hint := ""
			if v.shape == nothing {
				hint = `write "" for empty text`
			}
			return d.wants(v, path, "text", hint)
		}
		*to = T(v.text)
		return true
	}
}

// whole reads a whole number.
func whole(to *int) into {
	return func(d *decoder, v *value, path string) bool {
		n, err := strconv.Atoi(v.text)
		switch {
		case v.shape != number:
			return d.wants(v, path, "a whole number", "")
		case errors.Is(err, strconv.ErrRange) || n > maxWhole || n < -maxWhole:
			return d.report(v.at, fmt.Sprintf("invalid %s %.40s", path, v.text), fmt.Sprintf("use at most %d", maxWhole))
		case err != nil:
			return d.wants(v, path, "a whole number in decimal digits", "")
		}
		*to = n
		return true
	}
}

// maxWhole bounds numbers of machines and failures far above any fleet.
const maxWhole = 1_000_000

// truth reads true or false.
func truth(to *bool) into {
	return func(d *decoder, v *value, path string) bool {
		if v.shape != boolean {
			return d.wants(v, path, "true or false", "")
		}
		*to = strings.EqualFold(v.text, "true")
		return true
	}
}

// span reads a duration in Go's text.
func span(to *domain.Duration) into {
	return func(d *decoder, v *value, path string) bool {
		parsed, err := time.ParseDuration(v.text)
		switch {
		case v.shape == number:
			return d.wants(v, path, "a duration with a unit", fmt.Sprintf("write %.20ss, %.20sm or %.20sh", v.text, v.text, v.text))
		case v.shape != text || err != nil:
			return d.wants(v, path, "a duration", "such as 30s, 10m or 24h")
		}
		*to = domain.Duration(parsed)
		return true
	}
}

// percent reads a share such as 20%.
func percent(to *int) into {
	return func(d *decoder, v *value, path string) bool {
		digits, sign := strings.CutSuffix(v.text, "%")
		n, err := strconv.Atoi(digits)
		if v.shape != text || !sign || err != nil {
			return d.wants(v, path, "a percentage", "such as 20%")
		}
		*to = n
		return true
	}
}

// each reads a list, one item after the other.
func each(example string, item func(i int) into) into {
	return func(d *decoder, v *value, path string) bool {
		if v.shape != list {
			return d.wants(v, path, "a list", example)
		}
		ok := true
		for i, held := range v.items {
			ok = item(i)(d, held, fmt.Sprintf("%s[%d]", path, i)) && ok
			if d.found.full() {
				return false
			}
		}
		return ok
	}
}

// names reads a list of names, each asked about at its own place.
func names[T ~string](to *[]T, example string, check func(name string) *domain.Rejection) into {
	return each(example, func(int) into {
		return func(d *decoder, v *value, path string) bool {
			var name string
			if !words(&name)(d, v, path) || !d.reject(v.at, check(name)) {
				return false
			}
			*to = append(*to, T(name))
			list, _, _ := strings.Cut(path, "[")
			d.places[list+"/"+name] = v.at
			return true
		}
	})
}

// texts reads a mapping from names to text, each asked about at its own place.
func texts(to *map[string]string, check func(name, text string) *domain.Rejection) into {
	return func(d *decoder, v *value, path string) bool {
		if v.shape != mapping {
			return d.wants(v, path, "a mapping of names to text", "write NAME: text, one a line")
		}
		ok := true
		*to = make(map[string]string, len(v.fields))
		for _, f := range v.fields {
			var held string
			if !words(&held)(d, f.value, join(path, f.name)) || !d.reject(f.at, check(f.name, held)) {
				ok = false
				continue
			}
			(*to)[f.name] = held
		}
		return ok
	}
}
