package projections

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/domain"
)

// changed saves a view after it has changed the items of the folds, each a pointer to what saveX returns.
func changed(t *testing.T, v *View, change func(item any)) []byte {
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
		item := row.Save(s)
		switch saved := item.(type) {
		case []savedProject:
			change(&saved)
			item = saved
		case savedDeployments:
			change(&saved)
			item = saved
		case savedMachines:
			change(&saved)
			item = saved
		}
		require.NoError(t, saving.MarshalToBuffer(item, &out))
	}
	require.NoError(t, s.problem)
	return out.Bytes()
}

func TestSnapshotKeepsNanoseconds(t *testing.T) {
	v := folded(t)
	loaded, err := Load(changed(t, v, func(any) {}))
	require.NoError(t, err)
	require.Equal(t, v.Time, loaded.Time)
	require.NotZero(t, loaded.Time.Nanosecond())
	require.Empty(t, loaded.Inconsistencies())
}

func TestLoadedMachinesWithOpenPartsAreTouched(t *testing.T) {
	loaded, err := Load(changed(t, folded(t), func(any) {}))
	require.NoError(t, err)
	var names []string
	for _, r := range loaded.Touched() {
		names = append(names, r.Name)
	}
	require.ElementsMatch(t, []string{"web-01", "web-02", "web-03"}, names)
}

func TestSnapshotOfAnotherProgramIsRejected(t *testing.T) {
	v := folded(t)
	whole := changed(t, v, func(any) {})
	other := Fold{Name: "calm", Streams: []string{"calm"}, New: func() any { return new(bool) },
		Apply: func(*View, string, Fact) error { return nil },
		Save:  func(s *Saving) any { return s.View.State("calm") },
		Load:  func(l *Loading) { l.Decode(l.View.State("calm")) }}
	for what, c := range map[string]struct {
		data []byte
		more []Fold
		want string
	}{
		"nothing":         {nil, nil, "EOF"},
		"half of it":      {whole[:len(whole)/2], nil, "unexpected EOF"},
		"too much":        {append(bytes.Clone(whole), 0, 0), nil, "2 extra bytes at the end"},
		"another header":  {[]byte{0x01}, nil, "cannot unmarshal"},
		"without a fold":  {whole, []Fold{other}, "it has the folds [environments policies tokens servers watch projects deployments machines], want [environments policies tokens servers watch projects deployments machines calm]"},
		"another content": {append(bytes.Clone(whole[:len(whole)/2]), whole...), nil, ""},
	} {
		loaded, err := Load(c.data, c.more...)
		require.ErrorContains(t, err, "decode the view: ", what)
		require.ErrorContains(t, err, c.want, what)
		require.Nil(t, loaded)
	}
}

func TestSnapshotWithADanglingReferenceIsRejected(t *testing.T) {
	for what, damage := range map[string]func(item any){
		"no machine to sweep": func(item any) {
			if projects, ok := item.(*[]savedProject); ok {
				(*projects)[0].Sweep = []string{"web-09"}
			}
		},
		"no project of a deployment": func(item any) {
			if in, ok := item.(*savedDeployments); ok {
				in.Deployments[0].Project = 1
			}
		},
		"a negative project": func(item any) {
			if in, ok := item.(*savedMachines); ok {
				in.Machines[0].Candidates = []savedCandidate{{Candidate: &Candidate{}, Project: -1}}
			}
		},
		"no claimed deployment": func(item any) {
			if in, ok := item.(*savedMachines); ok {
				in.Machines[0].Claimed = domain.ID{9: 9}
			}
		},
		"no part of a machine": func(item any) {
			if in, ok := item.(*savedMachines); ok {
				in.Machines[0].Machine = &Machine{Machine: domain.Machine{Name: "web-09"}}
				in.Machines[0].Claimed = folded(t).open[0].ID
			}
		},
		"no retained deployment": func(item any) {
			if in, ok := item.(*savedDeployments); ok {
				in.Retained = []savedRetained{{Project: "shop", Recent: []domain.ID{{9: 9}}}}
			}
		},
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
