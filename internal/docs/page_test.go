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

// page is one page that people read.
type page struct {
	name   string // from the repository's folder
	text   string
	blocks []*block
}

// block is one fenced block, or a comment that holds lines to run.
type block struct {
	page  string
	line  int // of the fence
	lang  string
	text  string
	marks map[string]string
	shows *block // what it prints
}

func (b *block) place() string { return b.page + ":" + number(b.line) }

// generated is made from the helps: its examples are of any fleet, so they are parsed and not run.
const generated = "docs/reference/commands.md"

// knownMarks are the comments that say something to the tests.
var knownMarks = []string{"file", "more of", "again", "exits", "not run", "before", "quick start"}

// pages reads all pages.
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
	require.Greater(t, len(names), 10, "the pages are found")
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

// parsePage reads the blocks of a page. The problem says where a page is not in the form that doc.go tells.
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
			if key == "before" { // what follows the word on its line is for writers
				_, value, _ = strings.Cut(strings.TrimSuffix(strings.Join(lines[i:end+1], "\n"), "-->"), "\n")
				p.blocks = append(p.blocks, &block{page: name, line: i + 1, lang: "sh", text: value, marks: map[string]string{key: value}})
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
		case strings.HasPrefix(line, "    ") && i > 0 && strings.TrimSpace(lines[i-1]) == "" && strings.TrimSpace(line) != "":
			return p, at + ": a block without a fence is looked at by nobody; write ```sh, ```text or ``` around it"
		case strings.TrimSpace(line) != "":
			marks = map[string]string{}
		}
	}
	return p, ""
}

// mark reads a comment: a word and what follows it.
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

// add puts a block to the others; text after commands is what they print.
func (p *page) add(b *block) {
	if n := len(p.blocks); b.lang == "text" && !b.isFile() && n > 0 && p.blocks[n-1].lang == "sh" {
		p.blocks[n-1].shows = b
	}
	p.blocks = append(p.blocks, b)
}

func TestEveryBlockSaysWhatItIs(t *testing.T) {
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			switch b.lang {
			case "sh", "":
			case "text":
				require.Truef(t, b.isFile() || shownBy(p, b), "%s: nothing above it prints this; drawings and forms stand in a fence without a word", b.place())
			case "yaml":
				checkYAML(t, b)
			case "json":
				require.Truef(t, json.Valid([]byte(b.text)), "%s: this is no JSON", b.place())
			default:
				t.Errorf("%s: a fence of %q is looked at by nobody; use sh, text, yaml, json or none", b.place(), b.lang)
			}
		}
	}
}

func shownBy(p *page, text *block) bool {
	return slices.ContainsFunc(p.blocks, func(b *block) bool { return b.shows == text })
}

// checkYAML reads a block as a user's file would be read.
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

func TestEveryLinkLeadsToAFile(t *testing.T) {
	for _, p := range pages(t) {
		for _, found := range link.FindAllStringSubmatch(p.text, -1) {
			_, err := os.Stat(filepath.Join(repository, filepath.Dir(p.name), found[1]))
			require.NoErrorf(t, err, "%s links to %s", p.name, found[1])
		}
	}
}

func TestAPageThatIsNotInFormIsNoticed(t *testing.T) {
	for text, wanted := range map[string]string{
		"words\n\n    drover get machines\n": "a.md:3: a block without a fence",
		"```sh\ndrover\n":                    "a.md:1: the block does not end",
		"<!-- not run\n":                     "a.md:1: the comment does not end",
	} {
		_, problem := parsePage("a.md", text)
		require.Contains(t, problem, wanted)
	}
	p, problem := parsePage("a.md", "<!-- not run: it takes a day -->\n```sh\nmake\n```\n\nIt prints\n\n```text\nok\n```\n")
	require.Empty(t, problem)
	require.Equal(t, "it takes a day", p.blocks[0].marks["not run"])
	require.Equal(t, "ok\n", p.blocks[0].shows.text)
	p, _ = parsePage("a.md", "<!-- not run: it takes a day -->\nwords\n```sh\nmake\n```\n")
	require.Empty(t, p.blocks[0].marks, "a comment is about what stands right below it")
}
