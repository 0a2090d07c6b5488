package scenario

import (
	"errors"
	"strings"

	"github.com/droverhq/drover/api/resource"
	"github.com/droverhq/drover/domain"
)

// apply applies documents like `drover apply`: it checks all of them before it writes the first.
func (r *runner) apply(b *block) ([]string, error) {
	files, b, err := r.filenames(b)
	if err != nil {
		return nil, err
	}
	words, values, err := r.header(b, 1, "server")
	if err != nil {
		return nil, err
	}
	if len(words) == 1 {
		if err := r.at(words[0]); err != nil {
			return nil, err
		}
	}
	s, err := r.running(values["server"])
	if err != nil {
		return nil, err
	}
	docs, err := r.documents(b, files)
	var problems resource.Problems
	if errors.As(err, &problems) {
		return r.reject(problems), nil
	}
	if err != nil {
		return nil, err
	}
	if err := s.CatchUp(r.ctx); err != nil {
		return nil, err
	}
	if problems := resource.Check(docs, s.fold().World()); len(problems) > 0 {
		return r.reject(problems), nil
	}
	return r.applyAll(s, docs)
}

func (r *runner) reject(problems resource.Problems) []string {
	r.refused = true
	return []string{"rejected: " + problems.Error()}
}

// filenames separates the paths after -f from the other words of a block.
func (r *runner) filenames(b *block) (files []string, rest *block, err error) {
	copied := *b
	rest = &copied
	rest.args = nil
	for i := 0; i < len(b.args); i++ {
		if b.args[i] != "-f" && b.args[i] != "--filename" {
			rest.args = append(rest.args, b.args[i])
			continue
		}
		if i++; i == len(b.args) {
			return nil, nil, r.wrong("usage: "+blockOf("apply").usage, "-f needs a value")
		}
		if _, err := b.stat(b.args[i]); err != nil {
			return nil, nil, err
		}
		files = append(files, b.args[i])
	}
	if len(files) > 0 && len(b.input) > 0 {
		r.line = b.input[0].number
		return nil, nil, r.wrong("use two blocks", "apply takes either -f or documents")
	}
	return files, rest, nil
}

// documents reads the documents of files, or those of the block.
func (r *runner) documents(b *block, files []string) ([]resource.Document, error) {
	if len(files) > 0 {
		docs, err := resource.LoadFrom(b.script.folder, files)
		var problems resource.Problems
		if err != nil && !errors.As(err, &problems) {
			return nil, b.failAt(files[0], "", "%s", err)
		}
		return docs, err
	}
	var text strings.Builder
	for _, l := range b.input {
		text.WriteString(l.text + "\n")
	}
	return resource.Read("yaml", strings.NewReader(text.String()))
}

func (r *runner) applyAll(s *server, docs []resource.Document) ([]string, error) {
	var output []string
	for _, doc := range resource.Ordered(docs) {
		command := doc.Command(domain.By(by))
		answer, err := r.send(s, r.nextCommand(command), command)
		if err != nil {
			return nil, err
		}
		answer[0] = doc.String() + " " + answer[0]
		output = append(output, answer...)
	}
	return output, nil
}
