package docs_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/droverhq/drover/api/resource"
)

const repository = "../.."

// page is one page of the documentation.
type page struct {
	name   string // path relative to the repository
	text   string
	blocks []*block
}

// block is a fenced block, or a comment that contains lines to run.
type block struct {
	page  string
	line  int // line number of the fence
	lang  string
	text  string
	marks map[string]string
	shows *block // the expected output
}

func (b *block) place() string { return b.page + ":" + number(b.line) }

// generated is generated from the help texts. Its examples are for an arbitrary fleet, so they are parsed but not
// run.
const generated = "docs/reference/commands.md"

// knownMarks are the keys of the comments that the tests interpret.
var knownMarks = []string{"file", "more of", "again", "exits", "not run", "before", "quick start"}

// pages reads and parses all pages.
func pages(t *testing.T) (all []*page) {
	t.Helper()
	var names []string
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md"} {
		if _, err := os.Stat(filepath.Join(repository, name)); err == nil {
			names = append(names, name)
		}
	}
	err := filepath.WalkDir(filepath.Join(repository, "docs"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(path, ".md") {
			name, _ := filepath.Rel(repository, path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	require.NoError(t, err)
	require.Greater(t, len(names), 10, "the pages must be found")
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(repository, name))
		require.NoError(t, err)
		p, problem := parsePage(name, string(text))
		require.Empty(t, problem)
		all = append(all, p)
	}
	return all
}

var fence = regexp.MustCompile("^( *)(```+)([a-z]*)$")

// parsePage parses the blocks of a page. The problem describes a violation of the format in doc.go.
func parsePage(name, text string) (p *page, problem string) {
	p = &page{name: name, text: text}
	lines := strings.Split(text, "\n")
	marks := map[string]string{}
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		at := name + ":" + number(i+1)
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "<!--"):
			end := i
			for end < len(lines) && !strings.Contains(lines[end], "-->") {
				end++
			}
			if end == len(lines) {
				return p, at + ": the comment does not end"
			}
			key, value := mark(lines[i : end+1])
			if key == "before" { // the rest of its line is for authors
				_, value, _ = strings.Cut(strings.TrimSuffix(strings.Join(lines[i:end+1], "\n"), "-->"), "\n")
				p.blocks = append(p.blocks, &block{page: name, line: i + 1, lang: "sh", text: value,
					marks: map[string]string{key: value}})
			} else if slices.Contains(knownMarks, key) {
				marks[key] = value
			}
			i = end
		case fence.MatchString(line):
			b, end := fenced(name, lines, i)
			if b == nil {
				return p, at + ": the block does not end"
			}
			b.marks, marks = marks, map[string]string{}
			p.add(b)
			i = end
		case strings.HasPrefix(line, "    ") && i > 0 && strings.TrimSpace(lines[i-1]) == "" &&
			strings.TrimSpace(line) != "":
			return p, at + ": indented block: use a fence of ```sh, ```text or ```, so that it is tested"
		case strings.TrimSpace(line) != "":
			marks = map[string]string{}
		}
	}
	return p, ""
}

// mark parses a comment of the form KEY: VALUE.
func mark(lines []string) (key, value string) {
	text := strings.TrimSpace(strings.Join(lines, "\n"))
	text = strings.TrimSuffix(strings.TrimPrefix(text, "<!--"), "-->")
	key, value, _ = strings.Cut(text, ":")
	return strings.TrimSpace(key), strings.TrimSpace(value)
}

func fenced(name string, lines []string, start int) (b *block, end int) {
	opening := fence.FindStringSubmatch(lines[start])
	b = &block{page: name, line: start + 1, lang: opening[3]}
	for i := start + 1; i < len(lines); i++ {
		if strings.TrimSpace(lines[i]) == opening[2] {
			return b, i
		}
		b.text += strings.TrimPrefix(lines[i], opening[1]) + "\n"
	}
	return nil, 0
}

// add appends a block. A text block after commands is their expected output.
func (p *page) add(b *block) {
	if n := len(p.blocks); b.lang == "text" && !b.isFile() && n > 0 && p.blocks[n-1].lang == "sh" {
		p.blocks[n-1].shows = b
	}
	p.blocks = append(p.blocks, b)
}

func TestEveryBlockHasValidLanguage(t *testing.T) {
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			switch b.lang {
			case "sh", "":
			case "text":
				require.Truef(t, b.isFile() || shownBy(p, b),
					"%s: a text block must follow the commands that print it; use a fence without a language for "+
						"drawings and forms", b.place())
			case "yaml":
				checkYAML(t, b)
			case "json":
				require.Truef(t, json.Valid([]byte(b.text)), "%s: invalid JSON", b.place())
			default:
				t.Errorf("%s: unknown fence language %q: use sh, text, yaml, json or none", b.place(), b.lang)
			}
		}
	}
}

func shownBy(p *page, text *block) bool {
	return slices.ContainsFunc(p.blocks, func(b *block) bool { return b.shows == text })
}

// checkYAML reads a block like a user's file.
func checkYAML(t *testing.T, b *block) {
	t.Helper()
	var documents []any
	decoder := yaml.NewDecoder(strings.NewReader(b.text))
	for {
		var document any
		if err := decoder.Decode(&document); err != nil {
			require.ErrorContains(t, err, "EOF", b.place())
			break
		}
		documents = append(documents, document)
	}
	require.NotEmpty(t, documents, b.place())
	if strings.Contains(b.text, "apiVersion:") {
		_, err := resource.Read(b.place(), strings.NewReader(b.text))
		require.NoError(t, err, b.place())
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

func TestLinkedFilesExist(t *testing.T) {
	for _, p := range pages(t) {
		for _, found := range link.FindAllStringSubmatch(p.text, -1) {
			_, err := os.Stat(filepath.Join(repository, filepath.Dir(p.name), found[1]))
			require.NoErrorf(t, err, "%s links to %s", p.name, found[1])
		}
	}
}

func TestMalformedPageIsDetected(t *testing.T) {
	for text, wanted := range map[string]string{
		"words\n\n    drover get machines\n": "a.md:3: indented block",
		"```sh\ndrover\n":                    "a.md:1: the block does not end",
		"<!-- not run\n":                     "a.md:1: the comment does not end",
	} {
		_, problem := parsePage("a.md", text)
		require.Contains(t, problem, wanted)
	}
	p, problem := parsePage("a.md",
		"<!-- not run: it takes a day -->\n```sh\nmake\n```\n\nIt prints\n\n```text\nok\n```\n")
	require.Empty(t, problem)
	require.Equal(t, "it takes a day", p.blocks[0].marks["not run"])
	require.Equal(t, "ok\n", p.blocks[0].shows.text)
	p, _ = parsePage("a.md", "<!-- not run: it takes a day -->\nwords\n```sh\nmake\n```\n")
	require.Empty(t, p.blocks[0].marks, "a comment applies only to the block directly below it")
}
