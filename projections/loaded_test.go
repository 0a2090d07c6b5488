package projections

import (
	"bytes"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/eventlog"
)

// changed saves a view and changes the items of its folds. The item of a fold is what its Save returns.
func changed(t *testing.T, v *View, change func(item any) any) []byte {
	t.Helper()
	s := &Saving{View: v, projects: v.allProjects(), index: map[*Project]int{}}
	for i, p := range s.projects {
		s.index[p] = i
	}
	var out bytes.Buffer
	require.NoError(t, saving.MarshalToBuffer(s.header(), &out))
	for _, row := range v.rows.all {
		if row.Save == nil {
			continue
		}
		require.NoError(t, saving.MarshalToBuffer(change(row.Save(s)), &out))
	}
	require.NoError(t, s.problem)
	return out.Bytes()
}

func asSaved(item any) any { return item }

func TestSnapshotKeepsNanoseconds(t *testing.T) {
	v := folded(t)
	loaded, err := Load(changed(t, v, asSaved))
	require.NoError(t, err)
	require.Equal(t, v.Time, loaded.Time)
	require.NotZero(t, loaded.Time.Nanosecond())
	require.Empty(t, loaded.Inconsistencies())
}

func TestSnapshotHasNoBoundOnTheNumberOfItems(t *testing.T) {
	v := New()
	for n := range 132_000 { // the library allows 131 072 unless told otherwise
		id := domain.ID{0: 1, 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
		v.pruned[id] = Pruned{}
		v.receipts.byCommand[id], v.receipts.order = Receipt{}, append(v.receipts.order, receiptKey{command: id})
	}
	loaded, err := Load(changed(t, v, asSaved))
	require.NoError(t, err)
	require.Len(t, loaded.pruned, len(v.pruned))
	require.Equal(t, v.receipts.order, loaded.receipts.order)
}

func TestLoadedMachinesWithOpenPartsAreTouched(t *testing.T) {
	loaded, err := Load(changed(t, folded(t), asSaved))
	require.NoError(t, err)
	var names []string
	for _, r := range loaded.Touched() {
		names = append(names, r.Name)
	}
	require.ElementsMatch(t, []string{"web-01", "web-02", "web-03"}, names)
}

func TestSnapshotOfAnotherProgramIsRejected(t *testing.T) {
	v := folded(t)
	whole := changed(t, v, asSaved)
	other := Fold{Name: "calm", Streams: []string{"calm"}, New: func() any { return new(bool) },
		Apply: func(*View, string, Fact) error { return nil },
		Save:  func(s *Saving) any { return s.View.State("calm") },
		Load:  func(l *Loading) { l.Decode(l.View.State("calm")) }}
	for what, c := range map[string]struct {
		data []byte
		more []Fold
		want string
	}{
		"nothing":        {nil, nil, "EOF"},
		"half of it":     {whole[:len(whole)/2], nil, "unexpected EOF"},
		"too much":       {append(bytes.Clone(whole), 0, 0), nil, "2 extra bytes at the end"},
		"another header": {[]byte{0x01}, nil, "cannot unmarshal"},
		"without a fold": {whole, []Fold{other}, "deployments machines], want [environments policies "},
	} {
		loaded, err := Load(c.data, c.more...)
		require.ErrorContains(t, err, "decode the view: ", what)
		require.ErrorContains(t, err, c.want, what)
		require.Nil(t, loaded)
	}
}

// An item that is read in part has references to nothing.
func TestSnapshotWithAnItemOfAnotherTypeIsRejected(t *testing.T) {
	part := map[string]any{"Added": "nine"}
	_, err := Load(changed(t, folded(t), func(item any) any {
		if _, ok := item.(savedDeployments); ok {
			return map[string]any{"Deployments": []any{map[string]any{"Parts": []any{part}}}}
		}
		return item
	}))
	require.ErrorContains(t, err, "cannot unmarshal UTF-8 text string")
}

func TestSnapshotWithADanglingReferenceIsRejected(t *testing.T) {
	inDeployments := func(damage func(in *savedDeployments)) func(any) any {
		return func(item any) any {
			if in, ok := item.(savedDeployments); ok {
				damage(&in)
				return in
			}
			return item
		}
	}
	inMachines := func(damage func(in *savedMachines)) func(any) any {
		return func(item any) any {
			if in, ok := item.(savedMachines); ok {
				damage(&in)
				return in
			}
			return item
		}
	}
	for what, damage := range map[string]func(item any) any{
		"no machine to sweep": func(item any) any {
			if projects, ok := item.([]savedProject); ok {
				projects[0].Sweep = []string{"web-09"}
			}
			return item
		},
		"no project of a deployment": inDeployments(func(in *savedDeployments) { in.Deployments[0].Project = 2 }),
		"no retained deployment": inDeployments(func(in *savedDeployments) {
			in.Retained = []savedRetained{{Project: "shop", Recent: []domain.ID{{9: 9}}}}
		}),
		"a negative project": inMachines(func(in *savedMachines) {
			in.Machines[0].Candidates = []savedCandidate{{Candidate: &Candidate{}, Project: -1}}
		}),
		"no claimed deployment": inMachines(func(in *savedMachines) { in.Machines[0].Claimed = domain.ID{9: 9} }),
		"no part of a machine": inMachines(func(in *savedMachines) {
			in.Machines[0].Machine = &Machine{Machine: domain.Machine{Name: "web-09"}}
			in.Machines[0].Claimed = folded(t).open[0].ID
		}),
	} {
		_, err := Load(changed(t, folded(t), damage))
		require.ErrorIs(t, err, errDangling, what)
	}
}

func TestViewWithADanglingReferenceIsNotSaved(t *testing.T) {
	for what, c := range map[string]struct {
		damage func(v *View)
		want   string
	}{
		"a pruned deployment": {func(v *View) { v.Machines["web-01"].installed("shop").Person = &Deployment{ID: domain.ID{9: 9}} },
			"dangling reference to deployment " + domain.ID{9: 9}.String() + ", which was pruned"},
		"a deleted project": {func(v *View) {
			v.Machines["web-01"].candidates[0].Project = &Project{Project: *domain.NewProject("blog")}
		}, "dangling reference to project blog"},
	} {
		v, out := folded(t), bytes.Buffer{}
		c.damage(v)
		require.EqualError(t, v.Save(&out), c.want, what)
		require.Zero(t, out.Len())
	}
}

func TestSnapshotKeepsTheReceiptsOfCallersWhoUsedOneKey(t *testing.T) {
	v, command := New(), uuid.New()
	add := func(token string, e domain.Event) {
		name, data, err := domain.Encode(e)
		require.NoError(t, err)
		v.Apply(eventlog.Recorded{Stream: "project/shop", Position: v.Position + 1,
			Event: eventlog.Event{ID: uuid.New(), Type: name, Data: data, Command: command}})
		receipt, known := v.Receipt(domain.ID(command), token)
		require.True(t, known)
		require.Equal(t, v.Position, receipt.Position, "the receipt includes the newest event")
	}
	by := func(token string) domain.Origin {
		return domain.Origin{Actor: domain.Actor{Kind: domain.TokenActor, ID: token, Token: token}}
	}
	add("one", domain.ProjectDefined{Origin: by("one")})
	add("two", domain.ProjectDisabled{Origin: by("two")})
	add("two", domain.DeploymentEnded{}) // a further event of the same command, without an actor
	add("one", domain.ProjectEnabled{Origin: by("one")})
	loaded, err := Load(changed(t, v, asSaved))
	require.NoError(t, err)
	require.Equal(t, v.receipts, loaded.receipts)
	for token, shared := range map[string]bool{"one": false, "two": true, "three": true} {
		require.Equal(t, shared, loaded.IsShared(domain.ID(command), token), token)
	}
	_, known := loaded.Receipt(domain.ID(command), "three")
	require.False(t, known)
	loaded.receipts.now += ReceiptAge + 1
	loaded.receipts.removeOld()
	require.Empty(t, loaded.receipts.order)
	require.Empty(t, loaded.receipts.byCommand)
	require.Empty(t, loaded.receipts.shared)
}
