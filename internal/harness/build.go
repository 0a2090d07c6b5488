package harness

import (
	"fmt"
	"os"
	"os/exec"
)

// Build builds drover into the file at path, without cgo as it is shipped; flags are those of go build. It needs the
// source of this module in the working directory or above. The error holds what the compiler printed.
func Build(path string, flags ...string) error {
	args := append([]string{"build", "-buildvcs=false", "-o", path}, flags...)
	cmd := exec.Command("go", append(args, "github.com/droverhq/drover/cmd/drover")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", path, err, out)
	}
	return nil
}
