package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/droverhq/drover/api/problem"
	"github.com/droverhq/drover/api/resource"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/query"
)

// maxApplyBytes bounds the files of one apply, encoded as JSON.
const maxApplyBytes = 24 << 20

// maxEachEffects is up to how many changes of a dry run have their own effects.
const maxEachEffects = 8

type applyInput struct {
	Key
	Body struct {
		Documents []File `json:"documents" maxItems:"1000"`
		DryRun    bool   `json:"dryRun,omitempty"`
	}
}

// File is one file of an apply.
type File struct {
	File string `json:"file" doc:"The file's name, used in messages."`
	Text string `json:"text" doc:"YAML or JSON with one or more documents."`
}

// Applied is the result of an apply or a dry run.
type Applied struct {
	Results  []query.Change `json:"results"`
	Position string         `json:"position"`
	// Due describes the deployments that the next tick starts because of the changes, or would start after a dry run's
	// changes.
	Due []string `json:"due"`
	// Effects are the same deployments as data. Only a dry run has them.
	Effects *explain.Effects `json:"effects,omitempty"`
}

func (a *API) routeApply() {
	op := route(http.MethodPost, "/apply",
		"Create or update resources from files; all files are checked before anything is written", domain.SettingsVerb,
		domain.MachinesVerb, domain.EnvironmentsVerb, domain.PoliciesVerb, domain.AccessVerb)
	op.MaxBodyBytes = maxApplyBytes
	register(a, op, a.postApply)
}

func (a *API) postApply(ctx context.Context, in *applyInput) (*answer[Applied], error) {
	id, err := commandID(in.Key.Key)
	if err != nil {
		return nil, err
	}
	docs, err := readFiles(in.Body.Documents)
	if err == nil { // before CheckFiles, whose problems reveal what exists
		err = a.cfg.Queries.CheckPermissions(callerOf(ctx).Principal, docs)
	}
	if err == nil {
		err = a.cfg.Queries.CheckFiles(docs)
	}
	if err != nil {
		return nil, err
	}
	applied, err := a.apply(ctx, id, resource.Ordered(docs), in.Body.DryRun)
	return &answer[Applied]{Position: applied.Position, Body: applied}, err
}

// readFiles parses all files and reports the problems of all of them.
func readFiles(files []File) ([]resource.Document, error) {
	var docs []resource.Document
	var found resource.Problems
	for _, f := range files {
		read, err := resource.Read(nameOf(f), strings.NewReader(f.Text))
		var problems resource.Problems
		switch {
		case errors.As(err, &problems):
			found = append(found, problems...)
		case err != nil:
			return nil, err
		}
		docs = append(docs, read...)
	}
	if len(found) > 0 {
		return nil, found[:min(len(found), resource.MaxProblems)]
	}
	if len(docs) == 0 {
		return nil, problem.Invalid("%s", noDocument(files)).
			WithHint("add a document that begins with apiVersion: %s", resource.APIVersion)
	}
	return docs, nil
}

// nameOf returns the name of a file for messages. A long one keeps its end, which tells YAML from JSON.
func nameOf(f File) string {
	name := f.File
	if len(name) <= maxFileName {
		return name
	}
	start := len(name) - maxFileName
	for start < len(name) && !utf8.RuneStart(name[start]) {
		start++
	}
	return "…" + name[start:]
}

// noDocument names the files of a request that contain no document.
func noDocument(files []File) string {
	switch len(files) {
	case 0:
		return "the request contains no document"
	case 1:
		return fmt.Sprintf("%.200s contains no document", files[0].File)
	}
	return fmt.Sprintf("%.200s and the other files contain no document", files[0].File)
}

// apply writes the documents in order; a dry run only reports what it would write.
func (a *API) apply(ctx context.Context, id domain.ID, docs []resource.Document, dryRun bool) (Applied, error) {
	applied := Applied{Due: []string{}, Position: a.position()}
	var before, after []explain.Due
	applied.Results, before = a.cfg.Queries.Changes(docs)
	var err error
	if dryRun {
		before, after, err = a.foreseeFiles(ctx, docs, &applied)
	} else if err = a.writeAll(ctx, id, docs, &applied); err == nil {
		var now query.DueList
		now, err = a.cfg.Queries.Due(nil, "", "")
		after = now.Items
	}
	for _, d := range explain.LimitDue(seesOf(ctx), explain.NewlyDue(before, after)) {
		applied.Due = append(applied.Due, d.String())
	}
	return applied, err
}

// foreseeFiles returns what would be due without and with the documents, and adds their effects.
func (a *API) foreseeFiles(ctx context.Context, docs []resource.Document, applied *Applied) (before, after []explain.Due,
	err error) {
	commands := make([]domain.Command, len(docs))
	for i, d := range docs {
		commands[i] = d.Command(callerOf(ctx).Origin)
	}
	p, err := a.cfg.Engine.PreviewEach(ctx, maxEachEffects, func(i int, step *engine.Preview) {
		if applied.Results[i].Change != "unchanged" {
			effects := effectsOf(ctx, step)
			applied.Results[i].Effects = &effects
		}
	}, commands...)
	if err != nil {
		return nil, nil, err
	}
	effects := effectsOf(ctx, p)
	applied.Effects = &effects
	return explain.DueOf(p.Before.Due), explain.DueOf(p.After.Due), nil
}

// writeAll executes the command of each document, in order.
func (a *API) writeAll(ctx context.Context, id domain.ID, docs []resource.Document, applied *Applied) error {
	by := callerOf(ctx).Origin
	for i, d := range docs {
		result, err := a.handle(ctx, d.CommandID(id), d.Command(by))
		if err != nil {
			p := *problem.Of(err)
			p.Detail = fmt.Sprintf("%s: %s; %d of %d documents were already written", d, p.Detail, i, len(docs))
			return &p
		}
		applied.Position = result.Position.String()
	}
	return nil
}
