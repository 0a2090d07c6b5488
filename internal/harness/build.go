package harness

import (
	"fmt"
	"os"
	"os/exec"
)

// Build builds drover into the file at path, without cgo like a release. flags are flags of go build. The working
// directory must be inside this module. The error contains the output of the compiler.
func Build(path string, flags ...string) error {
	args := append([]string{"build", "-buildvcs=false", "-o", path}, flags...)
	cmd := exec.Command("go", append(args, "github.com/droverhq/drover/cmd/drover")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", path, err, out)
	}
	return nil
}
