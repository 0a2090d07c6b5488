package docs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/resource"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/explain"
)

// section returns the text of a page below a heading, up to the next heading of the same or a higher level.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "docs", page))
	require.NoError(t, err)
	level, _, _ := strings.Cut(heading, " ")
	_, rest, found := strings.Cut(string(text), "\n"+heading+"\n")
	require.Truef(t, found, "docs/%s has no %q", page, heading)
	if end := regexp.MustCompile(`(?m)^#{1,` + strconv.Itoa(len(level)) + `} `).FindStringIndex(rest); end != nil {
		rest = rest[:end[0]]
	}
	return rest
}

var row = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")

// listed returns the first cells of a table's rows.
func listed(text string) (names []string) {
	for _, found := range row.FindAllStringSubmatch(text, -1) {
		names = append(names, found[1])
	}
	return names
}

var reference = map[resource.Kind]string{
	resource.Environment: "reference/environment.md", resource.MachinePolicy: "reference/machine-policy.md",
	resource.Project: "reference/project.md",
	resource.Trigger: "reference/trigger.md", resource.Machine: "reference/machine.md",
	resource.Access: "reference/access.md",
}

func TestKindPagesListAllFields(t *testing.T) {
	for _, kind := range resource.Kinds() {
		require.Contains(t, reference, kind, "each kind needs a page in docs/reference")
		documented := listed(section(t, reference[kind], "## Fields"))
		if kind == resource.Environment {
			require.Equal(t, []string{"metadata.name"}, documented)
			documented = nil
		}
		require.ElementsMatchf(t, keys(t, kind, ""), documented, "the fields in docs/%s", reference[kind])
	}
}

// keys returns the keys that the reader of files accepts in a mapping. It passes a number instead of the mapping to the
// reader, whose hint lists the keys.
func keys(t *testing.T, kind resource.Kind, path string) (all []string) {
	t.Helper()
	for _, key := range strings.Split(strings.TrimPrefix(wanted(t, kind, path, 1), "keys: "), ", ") {
		if key == "" {
			continue
		}
		below := strings.TrimPrefix(path+"."+key, ".")
		all = append(all, below)
		if strings.HasPrefix(wanted(t, kind, below, 1), "keys: ") {
			all = append(all, keys(t, kind, below)...)
		} else if named := below + "{}"; strings.HasPrefix(wanted(t, kind, named, 1), "keys: ") {
			for _, field := range keys(t, kind, named) {
				all = append(all, strings.ReplaceAll(field, "{}", "[]"))
			}
		} else if list := below + "[]"; strings.HasPrefix(wanted(t, kind, list, 1), "keys: ") {
			all = append(all, keys(t, kind, list)...)
		}
	}
	return all
}

// wanted returns the hint of the reader about a value at a path in a kind's spec.
func wanted(t *testing.T, kind resource.Kind, path string, value any) string {
	t.Helper()
	place := "spec"
	if path != "" {
		place += "." + strings.NewReplacer("[]", "[0]", "{}", ".name").Replace(path)
		parts := strings.Split(path, ".")
		slices.Reverse(parts)
		for _, part := range parts {
			name, isList := strings.CutSuffix(part, "[]")
			if isList {
				value = []any{value}
			}
			name, isMap := strings.CutSuffix(name, "{}")
			if isMap {
				value = map[string]any{"name": value}
			}
			value = map[string]any{name: value}
		}
	}
	text, err := json.Marshal(map[string]any{"apiVersion": resource.APIVersion, "kind": kind,
		"metadata": map[string]any{"name": "x"}, "spec": value})
	require.NoError(t, err)
	_, err = resource.Read("x.json", strings.NewReader(string(text)))
	var problems resource.Problems
	if !errors.As(err, &problems) {
		return ""
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Reason, place+" must be a mapping") {
			return p.Hint
		}
	}
	return ""
}

func TestKindPagesListAllSettings(t *testing.T) {
	for kind, settings := range map[resource.Kind]any{resource.Project: domain.ProjectSettings{},
		resource.Trigger:       domain.TriggerSettings{},
		resource.MachinePolicy: domain.PolicySettings{}} {
		documented := listed(section(t, reference[kind], "## Fields"))
		for _, field := range fieldsOf(reflect.TypeOf(settings), "", nil) {
			require.Truef(t, slices.ContainsFunc(documented,
				func(name string) bool { return name == field || strings.HasSuffix(name, "."+field) }),
				"%s of %T has no row in docs/%s", field, settings, reference[kind])
		}
	}
}

// fieldsOf lists the JSON names of a type and of nested types, except types that are described elsewhere.
func fieldsOf(typ reflect.Type, path string, elsewhere []reflect.Type) (names []string) {
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		below := field.Type
		if field.Anonymous {
			names = append(names, fieldsOf(below, path, elsewhere)...)
			continue
		}
		names = append(names, path+name)
		if below.Kind() == reflect.Pointer {
			below = below.Elem()
		}
		if below.Kind() == reflect.Slice {
			below, name = below.Elem(), name+"[]"
		}
		if below.Kind() == reflect.Struct && strings.HasPrefix(below.PkgPath(), "github.com/droverhq/") &&
			!slices.Contains(elsewhere, below) && !below.Implements(reflect.TypeFor[json.Marshaler]()) {
			names = append(names, fieldsOf(below, path+name+".", elsewhere)...)
		}
	}
	return names
}

func TestReadOnlyResourcesAreListedWithFields(t *testing.T) {
	for page, shape := range map[string]any{"reference/release.md": explain.Release{},
		"reference/deployment.md": explain.Deployment{}, "reference/token.md": explain.Token{}} {
		require.ElementsMatchf(t, fieldsOf(reflect.TypeOf(shape), "", nil), listed(section(t, page, "## Fields")),
			"the fields in docs/%s", page)
	}
	require.ElementsMatch(t, fieldsOf(reflect.TypeOf(explain.Event{}), "", nil),
		listed(section(t, "reference/events.md", "## Fields of every event")))
}

func TestEventPageListsAllFields(t *testing.T) {
	elsewhere := []reflect.Type{reflect.TypeFor[domain.ProjectSettings](), reflect.TypeFor[domain.PolicySettings](),
		reflect.TypeFor[domain.TriggerSettings](),
		reflect.TypeFor[domain.TokenSettings](), reflect.TypeFor[domain.AccessSettings](), reflect.TypeFor[domain.Step](), reflect.TypeFor[domain.Actor]()}
	for _, name := range domain.TypeNames() {
		event, err := domain.Decode(name, []byte("{}"))
		require.NoError(t, err)
		if domain.TypeName(event) != name {
			continue // an older version, which is no longer written
		}
		text := section(t, "reference/events.md", "### "+domain.Name(event))
		require.Contains(t, text, "`"+name+"`")
		require.ElementsMatchf(t, fieldsOf(reflect.TypeOf(event), "", elsewhere), listed(text),
			"the fields of %s in docs/reference/events.md", domain.Name(event))
	}
	require.ElementsMatch(t, fieldsOf(reflect.TypeFor[domain.Actor](), "", nil),
		listed(section(t, "reference/events.md", "## Who asked")))
	text, err := os.ReadFile(filepath.Join(repository, "docs/reference/events.md"))
	require.NoError(t, err)
	require.Equal(t, len(domain.TypeNames()), strings.Count(string(text), "\n### "),
		"the page lists events that do not exist")
}

func TestEveryReasonIsListed(t *testing.T) {
	verdicts := constants(t, "triggers/rules.go", "Reason")
	require.Equal(t, verdicts, listed(section(t, "reference/reasons.md",
		"## Reasons of verdicts, in the order of the rules")))
	require.ElementsMatch(t, constants(t, "domain/reasons.go", "PartReason"),
		listed(section(t, "reference/reasons.md", "## Reasons of parts")))
	concepts, err := os.ReadFile(filepath.Join(repository, "docs/concepts.md"))
	require.NoError(t, err)
	for _, reason := range verdicts {
		require.Regexpf(t, fmt.Sprintf(`\| [^|]*\b%s\b[^|]*\|`, reason), string(concepts),
			"%s has no row in docs/concepts.md", reason)
	}
}

// constants returns the values of a file's constants of one type, in order.
func constants(t *testing.T, file, typ string) (values []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(repository, file), nil,
		parser.SkipObjectResolution)
	require.NoError(t, err)
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == typ {
			for _, value := range spec.Values {
				literal := value.(*ast.BasicLit) //nolint:forcetypeassert // a different type fails the test
				text, err := strconv.Unquote(literal.Value)
				require.NoError(t, err)
				values = append(values, text)
			}
		}
		return true
	})
	require.NotEmpty(t, values)
	return values
}
