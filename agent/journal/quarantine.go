package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxQuarantined is how many damaged files with the same name are retained.
const maxQuarantined = 3

// Quarantined is a damaged file that Open has renamed.
type Quarantined struct {
	File string // the original path
	Kept string // the path of the damaged content
	Err  error  // why the file was not usable
}

// Quarantined returns the file that Open has quarantined, or nil.
func (j *Journal) Quarantined() *Quarantined { return j.quarantined }

// quarantine renames a damaged file to PATH.damaged-NUMBER, for an operator to examine. Numbers, unlike times, are
// unique even if the clock is wrong. It retains the files with the highest numbers.
func (j *Journal) quarantine(path string, reason error) error {
	numbers := quarantineNumbers(path)
	next := 1
	if len(numbers) > 0 {
		next = numbers[len(numbers)-1] + 1
	}
	kept := quarantineName(path, next)
	if err := os.Rename(path, kept); err != nil {
		return fmt.Errorf("%s is damaged (%w) and could not be renamed (%w); remove it", path, reason, err)
	}
	for _, n := range numbers[:max(0, len(numbers)+1-maxQuarantined)] {
		_ = os.Remove(quarantineName(path, n))
	}
	j.quarantined = &Quarantined{File: path, Kept: kept, Err: reason}
	return syncFolder(filepath.Dir(path))
}

func quarantineName(path string, number int) string { return path + ".damaged-" + strconv.Itoa(number) }

// quarantineNumbers returns the numbers of the quarantined files in ascending order.
func quarantineNumbers(path string) (numbers []int) {
	files, _ := os.ReadDir(filepath.Dir(path))
	for _, file := range files {
		text, ok := strings.CutPrefix(file.Name(), filepath.Base(path)+".damaged-")
		if n, err := strconv.Atoi(text); ok && err == nil && quarantineName(path, n) == path+".damaged-"+text {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}
