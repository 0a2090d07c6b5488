package journal

import (
	"fmt"
	"path/filepath"

	"github.com/droverhq/drover/internal/quarantine"
)

// Quarantined is a damaged file that Open has renamed.
type Quarantined struct {
	File string // the original path
	Kept string // the path of the damaged content
	Err  error  // why the file was not usable
}

// Quarantined returns the file that Open has quarantined, or nil.
func (j *Journal) Quarantined() *Quarantined { return j.quarantined }

// quarantine renames a damaged file, for an operator to examine.
func (j *Journal) quarantine(path string, reason error) error {
	kept, err := quarantine.Rename(path)
	if err != nil {
		return fmt.Errorf("%s is damaged (%w) and could not be renamed (%w); remove it", path, reason, err)
	}
	j.quarantined = &Quarantined{File: path, Kept: kept, Err: reason}
	return syncFolder(filepath.Dir(path))
}
