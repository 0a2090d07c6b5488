package scenario

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of one file.
const (
	MaxBytes  = 1 << 20
	MaxBlocks = 10_000
	// MaxTicks bounds the ticks of one file, over all servers.
	MaxTicks = 100_000
)

// separator separates the input of a block from its expected output.
const separator = "----"

// Error describes why a file cannot be run, and where.
type Error struct {
	File string
	Line int
	// Column counts characters from 1. It is 0 if the error is about a whole line.
	Column int
	// Reason is one sentence without a full stop. Hint is the correct form; it may be empty.
	Reason, Hint string
}

// Error returns the place, the reason and the hint.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
	if e.Column > 0 {
		text = fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Reason)
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// line is one line of the input of a block.
type line struct {
	number int // in the file, from 1
	text   string
}

// block is one command with its input and the output that the file expects.
type block struct {
	script *script // the file that contains it
	line   int
	name   string
	args   []string
	input  []line
	raw    []string // the lines up to the separator
	want   []string
	// answered reports that the block has a separator and therefore expected output.
	answered bool
	included *script // the file of an include block
}

// isSilent reports whether the block consists of one line and has no output.
func (b *block) isSilent() bool { return isSilent(b.name) }

// isSilent reports whether blocks of that name consist of one line and have no output. No blank line needs to follow.
func isSilent(name string) bool {
	return slices.Contains([]string{"expect", "include", "positions"}, name)
}

// piece is either a block or the comments and blank lines between two blocks.
type piece struct {
	block   *block
	between []string
}

// script is a parsed file.
type script struct {
	file   string // for messages
	folder string // of the file on disk; empty if the file must not name other files
	// newline is what ends each line, \n or \r\n.
	newline string
	pieces  []piece
}

func (s *script) fail(line int, hint, reason string, args ...any) error {
	return &Error{File: s.file, Line: line, Reason: fmt.Sprintf(reason, args...), Hint: hint}
}

// parse splits a text into blocks. It checks only their form; running a block checks its words.
func parse(file, text string) (*script, error) {
	s := &script{file: file, newline: "\n"}
	if n := strings.Count(text, "\r\n"); n > 0 && n == strings.Count(text, "\n") {
		s.newline = "\r\n"
	}
	if len(text) > MaxBytes {
		return nil, s.fail(1, fmt.Sprintf("use at most %d", MaxBytes), "the file has %d bytes", len(text))
	}
	lines := strings.Split(strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n"), "\n")
	blocks := 0
	for i := 0; i < len(lines); {
		if err := s.check(i+1, lines[i]); err != nil {
			return nil, err
		}
		if isBetween(lines[i]) {
			s.between(lines[i])
			i++
			continue
		}
		end, err := s.blockEnd(lines, i)
		if err != nil {
			return nil, err
		}
		b, err := s.block(i, lines[i:end])
		if err != nil {
			return nil, err
		}
		if blocks++; blocks > MaxBlocks {
			return nil, s.fail(b.line, "split it into several files", "the file has more than %d blocks", MaxBlocks)
		}
		s.pieces = append(s.pieces, piece{block: b})
		i = end
	}
	if blocks == 0 {
		return nil, s.fail(1, "start a block with one of: "+blockNames(), "the file contains no command")
	}
	return s, nil
}

// blockEnd returns the index after the last line of the block that begins at an index.
func (s *script) blockEnd(lines []string, first int) (int, error) {
	end := first
	for end < len(lines) && strings.TrimSpace(lines[end]) != "" {
		if err := s.check(end+1, lines[end]); err != nil {
			return 0, err
		}
		end++
		if name, _, _ := strings.Cut(strings.TrimSpace(lines[first]), " "); isSilent(name) {
			break
		}
	}
	return end, nil
}

func (s *script) check(number int, text string) error {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' &&
			r != '\t' || r == 0x7f
	}) {
		return s.fail(number, "a scenario is UTF-8 text", "the line contains invalid characters")
	}
	return nil
}

// isBetween reports whether a line is a comment or blank, and thus outside of blocks.
func isBetween(text string) bool {
	return strings.TrimSpace(text) == "" || strings.HasPrefix(text, "#")
}

func (s *script) between(text string) {
	if n := len(s.pieces); n > 0 && s.pieces[n-1].block == nil {
		s.pieces[n-1].between = append(s.pieces[n-1].between, text)
		return
	}
	s.pieces = append(s.pieces, piece{between: []string{text}})
}

// block parses the lines of one block. first is the index of its first line.
func (s *script) block(first int, lines []string) (*block, error) {
	b := &block{script: s, line: first + 1}
	words, err := split(lines[0])
	if err != nil {
		return nil, s.fail(b.line, "", "%s", err)
	}
	if len(words) == 0 || words[0] == separator {
		return nil, s.fail(b.line, "start a block with one of: "+blockNames()+"; a blank line ends it",
			"%q does not start a block", separator)
	}
	b.name, b.args = words[0], words[1:]
	if blockOf(b.name) == nil {
		return nil, s.fail(b.line, "use one of: "+blockNames()+"; a blank line ends a block", "unknown block %.40q", b.name)
	}
	b.raw = lines
	for i, text := range lines[1:] {
		if strings.TrimRight(text, " \t") == separator {
			b.raw, b.want, b.answered = lines[:i+1], lines[i+2:], true
			break
		}
		b.input = append(b.input, line{first + i + 2, text})
	}
	return b, nil
}

// split splits a line into words. Text in double or single quotes is one word; a quote inside a word is literal.
func split(text string) ([]string, error) {
	var words []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		if quote := text[0]; quote == '"' || quote == '\'' {
			end := strings.IndexByte(text[1:], quote)
			if end < 0 {
				return nil, fmt.Errorf("unterminated quote before %.40q", text[1:])
			}
			words, text = append(words, text[1:end+1]), text[end+2:]
			continue
		}
		end := strings.IndexAny(text, " \t")
		if end < 0 {
			end = len(text)
		}
		words, text = append(words, text[:end]), text[end:]
	}
	return words, nil
}

// render returns the file with the output of each block. A block that was not run keeps its expected output.
func (s *script) render(got map[*block][]string) string {
	var out []string
	for _, p := range s.pieces {
		if p.block == nil {
			out = append(out, p.between...)
			continue
		}
		answer, ran := got[p.block]
		if !ran {
			answer = p.block.want
		}
		out = append(out, p.block.raw...)
		if !p.block.isSilent() && (ran || p.block.answered) {
			out = append(append(out, separator), answer...)
		}
	}
	return strings.Join(out, s.newline) + s.newline
}
