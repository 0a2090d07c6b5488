package built

import (
	"fmt"
	"os/exec"

	_ "github.com/droverhq/drover/internal/cli" // see doc.go
)

// Program writes drover to path; flags are go build's. The error holds what the compiler said.
func Program(path string, flags ...string) error {
	args := append(append([]string{"build", "-buildvcs=false"}, flags...), "-o", path, "github.com/droverhq/drover/cmd/drover")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil { //nolint:gosec // flags are a test's own
		return fmt.Errorf("build %s: %w\n%s", path, err, out)
	}
	return nil
}
