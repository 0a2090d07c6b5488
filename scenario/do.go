package scenario

import (
	"errors"
	"fmt"
	"strings"

	"github.com/droverhq/drover/api/resource"
	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
)

// sent is the command that was sent last, for the verb again.
type sent struct {
	count   int
	id      domain.ID
	command domain.Command
}

// do sends a command for each line.
func (st *stage) do(b *block) ([]string, error) {
	return st.lines(b, func(s *server, words []string) ([]string, error) {
		if len(words) == 1 && words[0] == "again" {
			if st.sent.command == nil {
				return nil, st.wrong("write a command above it", "there is nothing to send again")
			}
			return st.send(s, st.sent.id, st.sent.command)
		}
		command, err := st.command(s, words)
		if err != nil {
			return nil, err
		}
		return st.send(s, st.nextCommand(command), command)
	})
}

func (st *stage) nextCommand(command domain.Command) domain.ID {
	st.sent.count++
	st.sent.id, st.sent.command = st.id("command", "", st.sent.count), command
	return st.sent.id
}

// lines runs each line of a block's input: a time, and the rest for each. Lines that begin with # are passed over.
func (st *stage) lines(b *block, each func(s *server, words []string) ([]string, error)) ([]string, error) {
	_, values, err := st.header(b, 0, "server", "reacts")
	if err != nil {
		return nil, err
	}
	if word := values["reacts"]; word != "" && word != "no" {
		return nil, st.wrong("leave it out, or write reacts=no", "reacts=%.40s says nothing", word)
	}
	s, err := st.running(values["server"])
	if err != nil {
		return nil, err
	}
	st.unmoved = values["reacts"] == "no"
	defer func() { st.unmoved = false }()
	var output []string
	for _, l := range b.input {
		st.line = l.number
		words, err := split(l.text)
		if err != nil {
			return nil, st.wrong("", "%s", err)
		}
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := st.at(words[0]); err != nil {
			return nil, err
		}
		if len(words) == 1 {
			return nil, st.wrong("write: "+blockOf(b.name).usage, "nothing stands after the time")
		}
		answer, err := each(s, words[1:])
		if err != nil {
			return nil, err
		}
		output = append(output, answer...)
	}
	return output, nil
}

// send hands a command to a server and lets it do what follows at once. It returns what people see of it.
func (st *stage) send(s *server, id domain.ID, command domain.Command) ([]string, error) {
	result, err := s.Handle(st.ctx, id, command)
	if answer, refused := refusal(err); refused {
		return []string{answer}, nil
	}
	if err != nil {
		return nil, err
	}
	behind := st.head()
	if result.Repeat {
		return []string{fmt.Sprintf("ok #%s (repeat)", result.Position)}, st.react(s)
	}
	if err := st.react(s); err != nil {
		return nil, err
	}
	return append([]string{okay(result)}, st.then(behind)...), nil
}

func okay(result engine.Result) string {
	n := eventlog.Position(len(result.Events))
	if n == 0 {
		return "ok unchanged"
	}
	return span(result.Position-n+1, result.Position)
}

func span(first, last eventlog.Position) string {
	if first == last {
		return fmt.Sprintf("ok #%s", last)
	}
	return fmt.Sprintf("ok #%s..#%s", first, last)
}

// refusal says how a server's no is printed; refused is false for any other error.
func refusal(err error) (text string, refused bool) {
	var rejection *domain.Rejection
	switch {
	case errors.As(err, &rejection):
		return "rejected: " + rejection.Error(), true
	case errors.Is(err, engine.ErrFenced), errors.Is(err, engine.ErrLostEvents):
		return "rejected: " + err.Error(), true
	}
	return "", false
}

// react lets a server do at once what follows. One that is in the middle of a tick does it when that ends; a
// block may say that it comes late.
func (st *stage) react(s *server) error {
	if s.paused != nil || st.unmoved {
		return nil
	}
	_, err := s.React(st.ctx)
	return err
}

// apply applies documents as `drover apply` does: all are checked before the first is written.
func (st *stage) apply(b *block) ([]string, error) {
	words, values, err := st.header(b, 1, "server")
	if err != nil {
		return nil, err
	}
	if len(words) == 1 {
		if err := st.at(words[0]); err != nil {
			return nil, err
		}
	}
	s, err := st.running(values["server"])
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	for _, l := range b.input {
		text.WriteString(l.text + "\n")
	}
	docs, err := resource.Read("yaml", strings.NewReader(text.String()))
	var problems resource.Problems
	if errors.As(err, &problems) {
		return []string{"rejected: " + problems.Error()}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := s.CatchUp(st.ctx); err != nil {
		return nil, err
	}
	if problems := resource.Check(docs, s.fold().World()); len(problems) > 0 {
		return []string{"rejected: " + problems.Error()}, nil
	}
	return st.applyAll(s, docs)
}

func (st *stage) applyAll(s *server, docs []resource.Document) ([]string, error) {
	var output []string
	for _, doc := range resource.Ordered(docs) {
		command := doc.Command(domain.By(by))
		answer, err := st.send(s, st.nextCommand(command), command)
		if err != nil {
			return nil, err
		}
		answer[0] = doc.String() + " " + answer[0]
		output = append(output, answer...)
	}
	return output, nil
}
