package scenario

import (
	"errors"
	"fmt"
	"strings"

	"github.com/droverhq/drover/domain"
	"github.com/droverhq/drover/engine"
	"github.com/droverhq/drover/eventlog"
)

// lastCommand is the most recent command, which the verb again repeats.
type lastCommand struct {
	count   int
	id      domain.ID
	command domain.Command
}

// do sends one command for each line.
func (r *runner) do(b *block) ([]string, error) {
	return r.lines(b, func(s *server, words []string) ([]string, error) {
		if len(words) == 1 && words[0] == "again" {
			if r.last.command == nil {
				return nil, r.wrong("add a command above it", "no previous command to send again")
			}
			return r.send(s, r.last.id, r.last.command)
		}
		return r.command(s, words)
	})
}

func (r *runner) nextCommand(command domain.Command) domain.ID {
	r.last.count++
	r.last.id, r.last.command = r.id("command", "", r.last.count), command
	return r.last.id
}

// sendNew sends a command under a new id.
func (r *runner) sendNew(s *server, command domain.Command) ([]string, error) {
	return r.send(s, r.nextCommand(command), command)
}

// lines calls each for every line of a block's input, with the words after the time. Lines that begin with # are
// skipped.
func (r *runner) lines(b *block, each func(s *server, words []string) ([]string, error)) ([]string, error) {
	_, values, err := r.header(b, 0, "server", "reacts")
	if err != nil {
		return nil, err
	}
	if word := values["reacts"]; word != "" && word != "no" {
		return nil, r.wrong("omit it, or use reacts=no", "invalid reacts=%.40s", word)
	}
	s, err := r.running(values["server"])
	if err != nil {
		return nil, err
	}
	r.noReactions = values["reacts"] == "no"
	defer func() { r.noReactions = false }()
	var output []string
	for _, l := range b.input {
		r.line = l.number
		words, err := split(l.text)
		if err != nil {
			return nil, r.wrong("", "%s", err)
		}
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := r.at(words[0]); err != nil {
			return nil, err
		}
		if len(words) == 1 {
			return nil, r.wrong("usage: "+blockOf(b.name).usage, "nothing follows the time")
		}
		answer, err := each(s, words[1:])
		if err != nil {
			return nil, err
		}
		output = append(output, answer...)
	}
	return output, nil
}

// send sends a command to a server and lets the server react. It returns the output.
func (r *runner) send(s *server, id domain.ID, command domain.Command) ([]string, error) {
	result, err := s.Handle(r.ctx, id, command)
	if answer, refused := r.refusal(err); refused {
		return []string{answer}, nil
	}
	if err != nil {
		return nil, err
	}
	behind := r.head()
	if result.Repeat {
		return []string{fmt.Sprintf("ok #%s (repeat)", result.Position)}, r.react(s)
	}
	if err := r.react(s); err != nil {
		return nil, err
	}
	return append([]string{okay(result)}, r.then(behind)...), nil
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

// refusal returns the output for a rejected command; refused is false for any other error.
func (r *runner) refusal(err error) (text string, refused bool) {
	var rejection *domain.Rejection
	switch {
	case errors.As(err, &rejection):
		text = "rejected: " + rejection.Error()
	case errors.Is(err, engine.ErrFenced), errors.Is(err, engine.ErrLostEvents):
		text = "rejected: " + err.Error()
	default:
		return "", false
	}
	r.refused = true
	return text, true
}

// react runs the reaction of a server, unless the block delays reactions. A server that is within a tick does not
// react, because the tick ends with a reaction.
func (r *runner) react(s *server) error {
	if s.paused != nil || r.noReactions {
		return nil
	}
	_, err := s.React(r.ctx)
	return err
}
