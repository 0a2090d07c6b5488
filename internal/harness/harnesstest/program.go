package harnesstest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	_ "github.com/droverhq/drover/internal/cli" // see doc.go
	"github.com/droverhq/drover/internal/harness"
)

// Program is a build of drover. It is built when Path is first called.
type Program struct {
	flags []string
	built func() (string, error)
}

// NewProgram describes a build with flags of go build.
func NewProgram(flags ...string) *Program {
	p := &Program{flags: flags}
	p.built = sync.OnceValues(p.build)
	return p
}

// Path returns the path of the program, which is named drover and alone in its folder.
func (p *Program) Path(t testing.TB) string {
	t.Helper()
	path, err := p.built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (p *Program) build() (string, error) {
	if programs == "" {
		return "", errors.New("build drover: TestMain did not call harnesstest.Run")
	}
	folder, err := os.MkdirTemp(programs, "")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "drover")
	return path, harness.Build(path, p.flags...)
}

// programs is the folder with all builds of a test binary.
var programs string

// Run runs the tests of a package, removes the programs that they built, and returns the exit code.
func Run(m *testing.M) (code int) {
	var err error
	if programs, err = os.MkdirTemp("", "drover-programs-*"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(programs)
	return m.Run()
}
