package resource

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
)

// documentsWithEachField returns documents that have a value in each field of the settings of their kind, with the command
// that applies them. Fields that exclude each other are in several documents.
func documentsWithEachField(t *testing.T) map[string]struct {
	doc  Document
	want any // the command, with settings in their normal form
} {
	project := filled[domain.ProjectSettings](t)
	stopping := project
	project.StopAfterFailures, stopping.MaxFailures = 0, nil
	for _, s := range []*domain.ProjectSettings{&project, &stopping} {
		for name, o := range s.Overrides.Roles { // a role has only these
			o.MaxFailures, o.HealthyFor = nil, nil
			s.Overrides.Roles[name] = o
		}
	}
	policy, trigger, access := filled[domain.PolicySettings](t), filled[domain.TriggerSettings](t), filled[domain.AccessSettings](t)
	machine := domain.ApplyMachine{Name: "m", Environment: "env", Roles: []string{"r"}, Policy: "p", Disabled: true,
		Ephemeral: true}
	return map[string]struct {
		doc  Document
		want any
	}{
		"project with maxFailures": {FromProject(&domain.Project{Name: "p", Settings: project, Disabled: true}),
			domain.ApplyProject{Name: "p", Settings: project.WithDefaults(), Disabled: true}},
		"project with stopAfterFailures": {FromProject(&domain.Project{Name: "p", Settings: stopping}),
			domain.ApplyProject{Name: "p", Settings: stopping.WithDefaults()}},
		"policy": {FromPolicy("p", policy), domain.ApplyPolicy{Name: "p", Settings: policy.WithDefaults()}},
		"trigger": {FromTrigger("p", &domain.Trigger{Name: "t", Settings: trigger, Disabled: true}),
			domain.ApplyTrigger{Project: "p", Name: "t", Settings: trigger, Disabled: true}},
		"access":      {FromAccess(&domain.Access{Name: "a", Settings: access}), domain.ApplyAccess{Name: "a", Settings: access.Normal()}},
		"environment": {FromEnvironment("e"), domain.ApplyEnvironment{Name: "e"}},
		"machine": {FromMachine(&domain.Machine{Name: "m", Environment: "env", Roles: []string{"r"}, Policy: "p", Disabled: true,
			Ephemeral: true}), machine},
	}
}

func TestEachSettingHasAPlaceInItsFile(t *testing.T) {
	for name, c := range documentsWithEachField(t) {
		t.Run(name, func(t *testing.T) {
			read := writeAndRead(t, c.doc)
			require.Empty(t, Compare(c.doc, read), "a resource that is applied as it was printed has changed")
			require.Equal(t, c.want, read.Command(domain.Origin{}), "a setting has no place in files: add it to kinds.go")
		})
	}
}

// TestEachFieldOfAnApplyIsFilled fails for a new field of a command that applies a resource, until a document above
// contains it.
func TestEachFieldOfAnApplyIsFilled(t *testing.T) {
	filledFields := map[string]bool{}
	for _, c := range documentsWithEachField(t) {
		v := reflect.ValueOf(c.want)
		for i := range v.NumField() {
			if !v.Field(i).IsZero() {
				filledFields[v.Type().Name()+"."+v.Type().Field(i).Name] = true
			}
		}
	}
	for _, c := range documentsWithEachField(t) {
		v := reflect.TypeOf(c.want)
		for i := range v.NumField() {
			field := v.Field(i)
			inFile := field.Type != reflect.TypeFor[domain.Origin]() && field.Type != reflect.TypeFor[domain.ID]()
			if inFile { // people write no ids in files
				require.True(t, filledFields[v.Name()+"."+field.Name], "%s.%s has no value in this test", v.Name(), field.Name)
			}
		}
	}
}

// chosenValues are valid values of the fields for which a generated value is not valid, by type and name.
var chosenValues = map[string]any{
	"ProjectSettings.Unavailable": domain.FailUnavailable, "TriggerSettings.Events": []domain.Category{domain.Added},
	"AccessSettings.Permission": domain.Operator, "ProjectSettings.Secrets": []string{"SECRET"},
	"Values.Secrets": []string{"OTHER"}, "ProjectSettings.Backoff": domain.Duration(2 * time.Minute),
}

// filled returns a value in which each field, in every depth, differs from its zero value.
func filled[T any](t *testing.T) (s T) {
	fill(t, reflect.ValueOf(&s).Elem(), "")
	return s
}

func fill(t *testing.T, v reflect.Value, name string) {
	if chosen, ok := chosenValues[name]; ok {
		v.Set(reflect.ValueOf(chosen))
		return
	}
	switch v.Interface().(type) {
	case domain.Amount:
		v.Set(reflect.ValueOf(domain.Percent(7)))
		return
	case domain.Duration:
		v.Set(reflect.ValueOf(domain.Duration(90 * time.Second)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("NAME")
	case reflect.Int:
		v.SetInt(7)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), name)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0), name)
	case reflect.Map:
		item := reflect.New(v.Type().Elem()).Elem()
		fill(t, item, name)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("KEY").Convert(v.Type().Key()), item)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), v.Type().Name()+"."+v.Type().Field(i).Name)
		}
	default:
		require.Fail(t, fmt.Sprintf("fill a %s, the type of %s", v.Kind(), name))
	}
}
