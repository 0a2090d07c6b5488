package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/droverhq/drover/api/resource"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

// maxApplyBytes bounds the files of one apply, as JSON.
const maxApplyBytes = 24 << 20

type applyInput struct {
	Key
	Body struct {
		Documents []File `json:"documents" maxItems:"1000"`
		DryRun    bool   `json:"dryRun,omitempty"`
	}
}

// File is one file of an apply.
type File struct {
	File string `json:"file" doc:"For messages."`
	Text string `json:"text" doc:"YAML or JSON, one document or several."`
}

// Applied is what an apply did, or would do.
type Applied struct {
	Results  []Change `json:"results"`
	Position string   `json:"position"`
	// Due are sentences on what would be deployed, or will be at the next tick, because of this.
	Due []string `json:"due"`
}

// Change is what becomes of one thing.
type Change struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`   // of a trigger PROJECT/NAME
	Change string   `json:"change"` // created, changed, unchanged
	Diff   []string `json:"diff"`
}

func (a *API) routeApply() {
	op := route(http.MethodPost, "/apply", "Bring things to what files say; all are checked before the first is written", domain.AdminScope)
	op.MaxBodyBytes = maxApplyBytes
	huma.Register(a.router, op, func(ctx context.Context, in *applyInput) (*answer[Applied], error) {
		id, p := commandID(in.Key.Key)
		if p != nil {
			return nil, p
		}
		docs, err := readFiles(in.Body.Documents)
		if err == nil {
			err = a.checkFiles(docs)
		}
		if err != nil {
			return nil, problemOf(err)
		}
		applied, err := a.apply(ctx, id, resource.Ordered(docs), in.Body.DryRun)
		if err != nil {
			return nil, problemOf(err)
		}
		return &answer[Applied]{Position: applied.Position, Body: applied}, nil
	})
	a.routeResources()
	a.routeDue()
}

// readFiles reads all files and tells what is wrong in any of them.
func readFiles(files []File) ([]resource.Document, error) {
	var docs []resource.Document
	var wrong resource.Problems
	for _, f := range files {
		read, err := resource.Read(f.File, strings.NewReader(f.Text))
		var problems resource.Problems
		switch {
		case errors.As(err, &problems):
			wrong = append(wrong, problems...)
		case err != nil:
			return nil, err
		}
		docs = append(docs, read...)
	}
	if len(wrong) > 0 {
		return nil, wrong[:min(len(wrong), resource.MaxProblems)]
	}
	if len(docs) == 0 {
		return nil, invalid("the files hold no document").hint("write one that begins with apiVersion: " + resource.APIVersion)
	}
	return docs, nil
}

func (a *API) checkFiles(docs []resource.Document) error {
	var wrong resource.Problems
	a.cfg.Engine.Read(func(v *projections.View) { wrong = resource.Check(docs, v.World()) })
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

// apply writes the documents in their order, or only says what it would write.
func (a *API) apply(ctx context.Context, id domain.ID, docs []resource.Document, dryRun bool) (Applied, error) {
	applied := Applied{Results: []Change{}, Due: []string{}, Position: a.cfg.Engine.Position().String()}
	var before []explain.Due
	a.cfg.Engine.Judge(func(v *projections.View, age projections.Age) {
		before = explain.DueNow(v, age)
		for _, d := range docs {
			applied.Results = append(applied.Results, changeOf(v, d))
		}
	})
	var after []explain.Due
	var err error
	if dryRun {
		after, err = a.dueIfApplied(ctx, docs)
	} else if err = a.writeAll(ctx, id, docs, &applied); err == nil {
		a.cfg.Engine.Judge(func(v *projections.View, age projections.Age) { after = explain.DueNow(v, age) })
	}
	for _, d := range explain.Newly(before, after) {
		applied.Due = append(applied.Due, d.String())
	}
	return applied, err
}

// writeAll sends each document's command under an id that derives from the sender's, so that the whole apply may be repeated.
func (a *API) writeAll(ctx context.Context, id domain.ID, docs []resource.Document, applied *Applied) error {
	by := callerOf(ctx).name
	for i, d := range docs {
		each := domain.ID(uuid.NewSHA1(uuid.UUID(id), []byte(d.String())))
		written, err := a.handle(ctx, each, d.Command(by))
		if err != nil {
			p := problemOf(err)
			p.Detail = fmt.Sprintf("%s: %s; %d of %d documents were written before it", d, p.Detail, i, len(docs))
			return p
		}
		applied.Position = written.Position
	}
	return nil
}

// changeOf compares a document with what is there.
func changeOf(v *projections.View, d resource.Document) Change {
	old, exists := current(v, string(d.Kind), d.Project(), d.Name)
	change := Change{Kind: string(d.Kind), Name: d.Name, Change: "changed", Diff: resource.Diff(old, d)}
	if d.Project() != "" {
		change.Name = d.Project() + "/" + d.Name
	}
	switch {
	case !exists:
		change.Change = "created"
	case len(change.Diff) == 0:
		change.Change = "unchanged"
	}
	if change.Diff == nil {
		change.Diff = []string{}
	}
	return change
}

// current is the thing as a document; false if it is not there. kind is as files or as the API write it.
func current(v *projections.View, kind, project, name string) (d resource.Document, ok bool) {
	switch strings.ToLower(kind) {
	case "environment":
		return resource.FromEnvironment(name), v.Environments[name] != nil
	case "machinepolicy", "policy":
		settings := v.World().Policy(name)
		if settings == nil {
			return d, false
		}
		return resource.FromPolicy(name, *settings), v.Policies[name] != nil || name == domain.DefaultPolicy
	case "project":
		if p := v.Projects[name]; p != nil {
			return resource.FromProject(&p.Project), true
		}
	case "trigger":
		if p := v.Projects[project]; p != nil && p.Triggers[name] != nil {
			return resource.FromTrigger(project, p.Triggers[name]), true
		}
	case "machine":
		if m := v.Machines[name]; m != nil {
			return resource.FromMachine(&m.Machine), true
		}
	}
	return d, false
}

// dueIfApplied folds the log anew, then what the documents would write, and says what would be due.
func (a *API) dueIfApplied(ctx context.Context, docs []resource.Document) ([]explain.Due, error) {
	v, age, err := a.replay(ctx, func(eventlog.Recorded) bool { return true })
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		c := d.Command("")
		facts, rejection := c.Decide(v.World())
		if rejection != nil {
			return nil, rejection
		}
		for _, fact := range facts {
			if err := pretend(v, c.Stream(v.World()), fact); err != nil {
				return nil, err
			}
		}
	}
	return explain.DueNow(v, age), nil
}

// pretend folds a fact that is not in the log into a view that nobody else sees.
func pretend(v *projections.View, stream string, fact domain.Event) error {
	typeName, data, err := domain.Encode(fact)
	if err != nil {
		return err
	}
	v.Apply(eventlog.Recorded{Event: eventlog.Event{ID: uuid.New(), Type: typeName, Time: v.Time, Data: data},
		Stream: stream, Revision: v.Revision(stream) + 1, Position: v.Position + 1})
	return nil
}

// replay folds the log again in a place of its own, which is dear: few do at once.
func (a *API) replay(ctx context.Context, take func(eventlog.Recorded) bool) (*projections.View, projections.Age, error) {
	select {
	case a.replays <- struct{}{}:
		defer func() { <-a.replays }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	return engine.Replay(ctx, a.cfg.Log, take)
}

type resourceInput struct {
	After
	Kind    string `path:"kind"`
	Name    string `path:"name"`
	Project string `query:"project" doc:"Of a trigger."`
}

type textAnswer struct {
	Position    string `header:"Drover-Position"`
	ContentType string `header:"Content-Type"`
	Body        []byte
}

var resourceKinds = []string{"environment", "machinepolicy", "project", "trigger", "machine"}

func (a *API) routeResources() {
	op := route(http.MethodGet, "/resources/{kind}/{name}", "One thing as the file that makes it", domain.ReadScope)
	huma.Register(a.router, op, func(ctx context.Context, in *resourceInput) (*textAnswer, error) {
		if p := a.see(ctx, in.After.After); p != nil {
			return nil, p
		}
		if !slices.Contains(append(resourceKinds, "policy"), in.Kind) {
			return nil, missing("kind %.40q is none that files have", in.Kind).hint("use one of " + strings.Join(resourceKinds, ", "))
		}
		if in.Kind == "trigger" && in.Project == "" {
			return nil, invalid("a trigger is one of a project").hint("add ?project=NAME")
		}
		var text bytes.Buffer
		var ok bool
		var err error
		a.cfg.Engine.Read(func(v *projections.View) {
			var d resource.Document
			if d, ok = current(v, in.Kind, in.Project, in.Name); ok {
				err = resource.Write(&text, d)
			}
		})
		switch {
		case err != nil:
			return nil, problemOf(err)
		case !ok:
			return nil, missing("%s %.80q does not exist", in.Kind, in.Name)
		}
		return &textAnswer{Position: a.cfg.Engine.Position().String(), ContentType: "application/yaml", Body: text.Bytes()}, nil
	})
}

type dueInput struct {
	After
	Project string `query:"project" doc:"As if this project were enabled."`
	Trigger string `query:"trigger" doc:"As if this trigger of the project were enabled."`
}

// DueList is what would be deployed.
type DueList struct {
	Items    []explain.Due `json:"items"`
	Position string        `json:"position"`
}

func (a *API) routeDue() {
	get(a, "/due", "What the next tick would deploy", func(in *dueInput) string { return in.After.After },
		func(_ context.Context, in *dueInput) (DueList, error) {
			if in.Trigger != "" && in.Project == "" {
				return DueList{}, invalid("a trigger is one of a project").hint("add ?project=NAME")
			}
			return seeing(a, func(v *projections.View, age projections.Age) DueList {
				due := explain.DueNow(v, age)
				if in.Project != "" {
					due = explain.DueIfEnabled(v, age, in.Project, in.Trigger)
				}
				return DueList{Items: due, Position: v.Position.String()}
			}), nil
		})
}
