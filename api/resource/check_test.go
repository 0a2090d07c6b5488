package resource

import (
	"math/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
)

// smallWorld is a world with a few resources.
type smallWorld struct {
	domain.World
	environments []string
	policies     []string
	projects     map[string]*domain.Project
	machines     map[string]*domain.Machine
}

func (w smallWorld) Environment(name string) bool {
	return strings.Contains(" "+strings.Join(w.environments, " ")+" ", " "+name+" ")
}

func (w smallWorld) Environments() []string { return w.environments }

func (w smallWorld) Policy(name string) *domain.PolicySettings {
	if name == domain.DefaultPolicy || strings.Contains(" "+strings.Join(w.policies, " ")+" ", " "+name+" ") {
		settings := domain.PolicySettings{}.WithDefaults()
		return &settings
	}
	return nil
}

func (w smallWorld) Project(name string) *domain.Project { return w.projects[name] }
func (w smallWorld) Accesses() *domain.Accesses          { return domain.NewAccesses() }
func (w smallWorld) Machine(name string) *domain.Machine { return w.machines[name] }

const wholeFleet = `
apiVersion: drover.dev/v1
kind: Machine
metadata: {name: web-01}
spec: {environment: production, roles: [web], policy: tame}
---
apiVersion: drover.dev/v1
kind: Trigger
metadata: {name: newcomers}
spec: {project: shop, events: [MachineAvailable], environments: [production, "*"]}
---
apiVersion: drover.dev/v1
kind: Project
metadata: {name: shop}
spec: {steps: [{name: a, run: ./a}]}
---
apiVersion: drover.dev/v1
kind: MachinePolicy
metadata: {name: tame}
---
apiVersion: drover.dev/v1
kind: Environment
metadata: {name: production}
---
apiVersion: drover.dev/v1
kind: Access
metadata: {name: deployers}
spec: {who: {groups: [ops]}, permission: deployer, projects: [shop], environments: ["*"]}
`

func TestDocumentsMayReferToEachOtherInAnyOrder(t *testing.T) {
	docs, err := Read("f", strings.NewReader(wholeFleet))
	require.NoError(t, err)
	for range 20 {
		rand.Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
		require.Empty(t, Check(docs, smallWorld{}))
		var kinds []Kind
		for _, doc := range Ordered(docs) {
			kinds = append(kinds, doc.Kind)
		}
		require.Equal(t, Kinds(), kinds)
	}
}

func TestDocumentsMayReferToExistingResources(t *testing.T) {
	docs, err := Read("f", strings.NewReader(wholeFleet))
	require.NoError(t, err)
	world := smallWorld{
		environments: []string{"production"},
		policies:     []string{"tame"},
		projects:     map[string]*domain.Project{"shop": domain.NewProject("shop")},
	}
	require.Empty(t, Check(docs[:2], world))
}

func TestMissingReferencesAreReportedAtTheirLocations(t *testing.T) {
	docs, err := Read(
		"f",
		strings.NewReader(strings.Replace(wholeFleet, `production, "*"`, "producton, qa, production", 1)),
	)
	require.NoError(t, err)
	texts := func(problems Problems) (all []string) {
		for _, p := range problems {
			all = append(all, strings.SplitN(p.Error(), "\n", 2)[0])
		}
		return all
	}
	require.Equal(t, []string{
		`f:10:66: Trigger shop/newcomers: environment "producton" does not exist (did you mean "production"?)`,
		"f:10:77: Trigger shop/newcomers: environment \"qa\" does not exist (apply it too, or use one that `drover get environments` lists)",
	}, texts(Check(docs, smallWorld{})))
	require.Equal(t, []string{
		"f:5:21: Machine web-01: environment \"production\" does not exist (apply it too, or use one that `drover get environments` lists)",
		"f:5:55: Machine web-01: machine policy \"tame\" does not exist (apply it too, or use one that `drover get policies` lists)",
		"f:10:17: Trigger shop/newcomers: project \"shop\" does not exist (apply it too, or use one that `drover get projects` lists)",
		"f:10:66: Trigger shop/newcomers: environment \"producton\" does not exist (apply it too, or use one that `drover get environments` lists)",
		"f:10:77: Trigger shop/newcomers: environment \"qa\" does not exist (apply it too, or use one that `drover get environments` lists)",
		"f:10:81: Trigger shop/newcomers: environment \"production\" does not exist (apply it too, or use one that `drover get environments` lists)",
	}, texts(Check(docs[:2], smallWorld{})))
}

func TestCheckReportsRejectionsOfTheDomain(t *testing.T) {
	bad := FromProject(&domain.Project{Name: "a/b"})
	problems := Check([]Document{bad, {}}, smallWorld{})
	require.Len(t, problems, 2)
	require.ErrorContains(t, problems, "document is empty")
	require.ErrorContains(t, problems, `project "a/b" has '/' at character 2`)
}

func TestCheckReportsDuplicates(t *testing.T) {
	docs := []Document{FromEnvironment("a"), FromEnvironment("a")}
	require.ErrorContains(t, Check(docs, smallWorld{}), "duplicate Environment a")
}
