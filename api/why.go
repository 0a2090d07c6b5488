package api

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/projections"
)

type whyInput struct {
	After
	Machine string `query:"machine" required:"true"`
	Project string `query:"project" doc:"Default: every project that looks at the machine."`
	At      string `query:"at" doc:"A position or an RFC 3339 time: as it was then."`
}

// Whys is the answer of /why.
type Whys struct {
	Items    []explain.Why `json:"items"`
	Position string        `json:"position"`
}

func (a *API) routeWhy() {
	get(a, "/why", "Why a machine has, gets or does not get what a project wants", func(in *whyInput) string { return in.After.After }, a.why)
	a.routeVerify()
	a.routeExport()
}

func (a *API) why(ctx context.Context, in *whyInput) (Whys, error) {
	if in.At != "" {
		return a.whyThen(ctx, in)
	}
	var projects []string
	var p *Problem
	a.cfg.Engine.Read(func(v *projections.View) { projects, p = projectsAsked(v, in) })
	if p != nil {
		return Whys{}, p
	}
	whys := Whys{Items: []explain.Why{}, Position: a.cfg.Engine.Position().String()}
	for _, project := range projects {
		past, err := a.cfg.Engine.Past(ctx, in.Machine, project)
		if err != nil {
			return whys, err
		}
		a.cfg.Engine.Judge(func(v *projections.View, age projections.Age) {
			whys.Items = append(whys.Items, explain.WhyOf(v, age, project, in.Machine, past))
		})
	}
	if err := a.cfg.Engine.Stopped(); err != nil {
		for i := range whys.Items {
			whys.Items[i].Sentence += " But this server decides nothing now: " + err.Error() + "."
		}
	}
	return whys, nil
}

// whyThen answers from the log as it was.
func (a *API) whyThen(ctx context.Context, in *whyInput) (Whys, error) {
	until, p := a.moment(ctx, in.At)
	if p != nil {
		return Whys{}, p
	}
	v, age, err := a.replay(ctx, until)
	if err != nil {
		return Whys{}, err
	}
	whys := Whys{Items: []explain.Why{}, Position: v.Position.String()}
	projects, p := projectsAsked(v, in)
	if p != nil {
		return Whys{}, a.notThen(p, in)
	}
	for _, project := range projects {
		past, err := engine.PastOf(ctx, a.cfg.Log, v, in.Machine, project)
		if err != nil {
			return whys, err
		}
		whys.Items = append(whys.Items, explain.WhyOf(v, age, project, in.Machine, past))
	}
	return whys, nil
}

// projectsAsked are the projects to answer for; a name that the log has never heard of is a problem.
func projectsAsked(v *projections.View, in *whyInput) ([]string, *Problem) {
	if v.Revision(domain.MachineStream(in.Machine)) == eventlog.NoStream {
		return nil, missing("machine %.80q does not exist", in.Machine).hint("`drover get machines` lists them")
	}
	if in.Project == "" {
		return explain.ProjectsFor(v, in.Machine), nil
	}
	if v.Revision(domain.ProjectStream(in.Project)) == eventlog.NoStream {
		return nil, missing("project %.80q does not exist", in.Project).hint("`drover get projects` lists them")
	}
	return []string{in.Project}, nil
}

// notThen says of what is there now, or was once, that it was not there at the moment asked for.
func (a *API) notThen(p *Problem, in *whyInput) *Problem {
	var unknown *Problem
	a.cfg.Engine.Read(func(v *projections.View) { _, unknown = projectsAsked(v, in) })
	if unknown != nil {
		return unknown
	}
	return missing("%s", strings.Replace(p.Detail, "does not exist", "did not exist", 1)+" at "+in.At).
		hint("`drover events` shows when it came; ask for that moment or a later one")
}

// moment reads a position or a time, and says until where the log is to be folded.
func (a *API) moment(ctx context.Context, text string) (func(eventlog.Recorded) bool, *Problem) {
	text = strings.TrimPrefix(text, "#")
	if position, err := eventlog.ParsePosition(text); err == nil {
		if head, err := a.cfg.Log.Head(ctx); err != nil {
			return nil, problemOf(err)
		} else if position > head {
			return nil, invalid("at=%s is beyond the end of the log, #%s", position, head).hint("leave it out to ask about now")
		}
		return func(rec eventlog.Recorded) bool { return rec.Position <= position }, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, invalid("at=%.40q is neither a position nor a time", text).hint("write 12, or 2026-01-31T09:00:00Z")
	}
	return func(rec eventlog.Recorded) bool { return !rec.Time.After(at) }, nil
}

// Verified is what reading the whole log found.
type Verified struct {
	Events int    `json:"events"`
	Head   string `json:"head"`
	// Damaged says what is wrong, nil if nothing is.
	Damaged *string `json:"damaged" nullable:"true"`
}

type empty struct{}

// routeExport registers the log as an archive. An archive that could not be written to its end has none, so its reader notices.
func (a *API) routeExport() {
	op := route(http.MethodGet, "/log/export", "The whole log as an archive, a line of JSON for each event", domain.AdminScope)
	huma.Register(a.router, op, func(context.Context, *empty) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			_, w := humago.Unwrap(ctx)
			ctx.SetHeader("Content-Type", "application/jsonl")
			life, end := context.WithCancel(ctx.Context())
			defer end()
			go a.whileItStands(life, callerOf(ctx.Context()), end)
			_, err := eventlog.Export(life, a.cfg.Log, taken{ctx.BodyWriter(), http.NewResponseController(w)}, nil)
			if err != nil && life.Err() == nil {
				a.log.Error("export ended early", zap.Error(err))
			}
		}}, nil
	})
}

// taken is an answer of any length whose reader takes each piece in time, or is dropped.
type taken struct {
	io.Writer
	control *http.ResponseController
}

func (t taken) Write(p []byte) (int, error) {
	_ = t.control.SetWriteDeadline(time.Now().Add(takeWithin))
	return t.Writer.Write(p)
}

// atLeisure lets an answer take as long as it takes to make: a log may be long. It is small, so nobody can be slow to take it.
func atLeisure(ctx huma.Context, next func(huma.Context)) {
	_, w := humago.Unwrap(ctx)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	next(ctx)
}

func (a *API) routeVerify() {
	op := route(http.MethodGet, "/log/verify", "Read the whole log and check every event", domain.ReadScope)
	op.Middlewares = huma.Middlewares{atLeisure}
	huma.Register(a.router, op, func(ctx context.Context, _ *empty) (*answer[Verified], error) {
		select {
		case a.replays <- struct{}{}:
			defer func() { <-a.replays }()
		case <-ctx.Done():
			return nil, problemOf(ctx.Err())
		}
		found, err := eventlog.Verify(ctx, a.cfg.Log, nil)
		if err != nil && !isDamage(err) {
			return nil, problemOf(err)
		}
		out := &answer[Verified]{Position: found.Head.String(), Body: Verified{Events: found.Events, Head: found.Head.String()}}
		if err != nil {
			sentence := err.Error()
			out.Body.Damaged = &sentence
		}
		return out, nil
	})
}
