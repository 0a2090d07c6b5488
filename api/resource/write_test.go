package resource

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/droverhq/drover/domain"
)

// writeAndRead writes a document and reads it writeAndRead.
func writeAndRead(t require.TestingT, doc Document) Document {
	var b strings.Builder
	require.NoError(t, Write(&b, doc))
	docs, err := Read("written.yaml", strings.NewReader(b.String()))
	require.NoError(t, err, b.String())
	require.Len(t, docs, 1, b.String())
	return docs[0]
}

// trickyText generates texts from pieces that YAML parsers are known to read differently.
func trickyText() *rapid.Generator[string] {
	pieces := rapid.SampledFrom(
		[]string{
			"a",
			"echo hello",
			" ",
			"  ",
			"\n",
			"\n\n",
			"\n  ",
			"\t",
			"#",
			" # ",
			": ",
			":",
			"- ",
			"---",
			"\n---\n",
			"...",
			"'",
			"\"",
			"\\",
			"{",
			"}",
			"[",
			"]",
			",",
			"|",
			"|-",
			">",
			"&a",
			"*a",
			"!",
			"!!str",
			"%",
			"@",
			"`",
			"0",
			"1.10",
			"0x1f",
			"1e3",
			".inf",
			"~",
			"null",
			"true",
			"No",
			"é",
			"漢",
			"🙂",
			"\u2028",
			"\u0085",
			"\u00a0",
			"\ufeff",
			"\r",
			"\r\n",
			"\x01",
			"\x7f",
			"? ",
			"=",
			"<<",
			"$X",
			"%s",
			"\\n",
		},
	)
	return rapid.Custom(
		func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(pieces, 1, 12).Draw(t, "pieces"), "") },
	)
}

func name() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,20}`),
		rapid.SampledFrom([]string{"true", "null", "1.10", "0x1f", "1e3", "no", "2026-01-01"}),
	)
}

func seconds(least, most int) *rapid.Generator[domain.Duration] {
	return rapid.Custom(func(t *rapid.T) domain.Duration {
		return domain.Duration(time.Duration(rapid.IntRange(least, most).Draw(t, "seconds")) * time.Second)
	})
}

func amount(t *rapid.T) domain.Amount {
	if rapid.Bool().Draw(t, "percent") {
		return domain.Percent(rapid.IntRange(1, 100).Draw(t, "percentage"))
	}
	return domain.Count(rapid.IntRange(0, 20).Draw(t, "number"))
}

func failures(t *rapid.T) *domain.Amount {
	a := amount(t)
	return rapid.SampledFrom([]*domain.Amount{nil, {}, &a}).Draw(t, "maxFailures")
}

func anyProject(t *rapid.T) Document {
	s := domain.ProjectSettings{MaxFailures: failures(t),
		Roles: rapid.SliceOfN(name(), 0, 4).Draw(t, "roles"), MaxParallel: amount(t),
		Unavailable: rapid.SampledFrom([]domain.Unavailable{"", domain.SkipUnavailable, domain.FailUnavailable}).
			Draw(t, "unavailable"),
		Attempts: rapid.IntRange(1, 5).Draw(t, "attempts"), Backoff: seconds(1, 3600).Draw(t, "backoff"),
		Variables: rapid.MapOfN(rapid.StringMatching(`[A-Z_][A-Z0-9_]{0,8}`), trickyText(), 0, 4).Draw(t, "variables"),
		Secrets:   rapid.SliceOfN(rapid.StringMatching(`secret_[a-z]{1,4}`), 0, 3).Draw(t, "secrets"),
	}
	for _, step := range rapid.SliceOfNDistinct(name(), 0, 4, rapid.ID).Draw(t, "steps") {
		s.Steps = append(
			s.Steps,
			domain.Step{
				Name:    step,
				Run:     trickyText().Draw(t, "run"),
				Folder:  rapid.OneOf(rapid.Just(""), trickyText()).Draw(t, "folder"),
				Timeout: seconds(0, 7200).Draw(t, "timeout"),
				Retries: rapid.IntRange(0, 3).Draw(t, "retries"),
			},
		)
	}
	return FromProject(
		&domain.Project{Name: name().Draw(t, "name"), Settings: s, Disabled: rapid.Bool().Draw(t, "disabled")},
	)
}

func anyPolicy(t *rapid.T) Document {
	s := domain.PolicySettings{
		OfflineAfter: seconds(1, 100).Draw(t, "offlineAfter"),
		LostAfter:    seconds(1, 9000).Draw(t, "lostAfter"),
	}
	if rapid.Bool().Draw(t, "checks") {
		s.HealthCheck = &domain.HealthCheck{
			Every:   seconds(1, 90).Draw(t, "every"),
			Timeout: seconds(1, 90).Draw(t, "timeout"),
			Script:  trickyText().Draw(t, "script"),
		}
	}
	if rapid.Bool().Draw(t, "cleans") {
		s.CleanUp = &domain.CleanUp{
			After:    seconds(60, 99999).Draw(t, "after"),
			MaxShare: rapid.IntRange(1, 100).Draw(t, "maxShare"),
		}
	}
	return FromPolicy(name().Draw(t, "name"), s)
}

func anyTrigger(t *rapid.T) Document {
	events := rapid.SliceOfN(rapid.SampledFrom(domain.Categories()), 0, 4).Draw(t, "events")
	return FromTrigger(
		name().Draw(t, "project"),
		&domain.Trigger{Name: name().Draw(t, "name"), Disabled: rapid.Bool().Draw(t, "disabled"),
			Settings: domain.TriggerSettings{
				Events:   append(events, domain.Added),
				Redeploy: rapid.Bool().Draw(t, "redeploy"),
				Environments: rapid.SliceOfN(rapid.OneOf(name(), rapid.Just("*")), 1, 3).
					Draw(t, "environments"),
				Roles: rapid.SliceOfN(name(), 0, 3).Draw(t, "roles"),
			}},
	)
}

func anyMachine(t *rapid.T) Document {
	return FromMachine(
		&domain.Machine{
			Name:        name().Draw(t, "name"),
			Environment: name().Draw(t, "environment"),
			Roles:       rapid.SliceOfN(name(), 0, 3).Draw(t, "roles"),
			Policy:      rapid.OneOf(rapid.Just(""), name()).Draw(t, "policy"),
			Disabled:    rapid.Bool().Draw(t, "disabled"),
		},
	)
}

func TestWrittenDocumentsAreReadBackUnchanged(t *testing.T) {
	for kind, draw := range map[Kind]func(*rapid.T) Document{
		Environment:   func(t *rapid.T) Document { return FromEnvironment(name().Draw(t, "name")) },
		MachinePolicy: anyPolicy, Project: anyProject, Trigger: anyTrigger, Machine: anyMachine,
	} {
		t.Run(string(kind), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				doc := draw(t)
				if !valid(doc) {
					t.Skip("the domain rejects it")
				}
				read := writeAndRead(t, doc)
				require.Equal(t, doc.Command(domain.By("ann")), read.Command(domain.By("ann")))
				require.Equal(t, kind, read.Kind)
				require.Empty(t, Compare(doc, read))
			})
		})
	}
}

// valid reports whether the domain accepts the document.
func valid(doc Document) bool {
	switch c := doc.Command(domain.Origin{}).(type) {
	case domain.ApplyProject:
		return c.Settings.Check() == nil
	case domain.ApplyPolicy:
		return c.Settings.Check() == nil
	}
	return true
}

func TestWriteOmitsDefaults(t *testing.T) {
	var b strings.Builder
	project := &domain.Project{Name: "blog", Settings: domain.ProjectSettings{}.WithDefaults()}
	require.NoError(
		t,
		Write(
			&b,
			FromEnvironment("production"),
			FromPolicy("tame", domain.PolicySettings{}.WithDefaults()),
			FromProject(project),
			FromMachine(
				&domain.Machine{
					Name:        "web-01",
					Environment: "production",
					Policy:      domain.DefaultPolicy,
					Roles:       []string{"web"},
				},
			),
		),
	)
	require.Equal(t, `apiVersion: drover.dev/v1
kind: Environment
metadata:
  name: production
spec: {}
---
apiVersion: drover.dev/v1
kind: MachinePolicy
metadata:
  name: tame
spec: {}
---
apiVersion: drover.dev/v1
kind: Project
metadata:
  name: blog
spec: {}
---
apiVersion: drover.dev/v1
kind: Machine
metadata:
  name: web-01
spec:
  environment: production
  roles: [web]
`, b.String())
}

func TestWriteUsesBlocksForScripts(t *testing.T) {
	var b strings.Builder
	require.NoError(t, Write(&b, readOne(t, "shop.yaml", shop)))
	require.Equal(t, `apiVersion: drover.dev/v1
kind: Project
metadata:
  name: shop
spec:
  roles: [api, web]
  maxParallel: 10
  stopAfterFailures: 1
  unavailableMachines: fail
  automatic:
    attempts: 5
    backoff: 2m
  variables:
    DEBUG: "true"
    NOTE: ""
    PORT: "8080"
    VERSION: "1.10"
  secrets: [DB_PASSWORD]
  disabled: true
  steps:
    - name: install
      run: |
        #!/bin/sh
        echo "a: b"   # not a comment of YAML

        exit 0
      folder: /srv/shop
      timeout: 10m
      retries: 2
    - name: check
      run: ./check.sh
`, b.String())
}
