package witness

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxQuarantined is how many damaged files of a log are retained.
const maxQuarantined = 3

const quarantineMark = ".damaged-"

// quarantine renames a damaged file to PATH.damaged-NUMBER, for an operator to examine, and returns that name. It
// retains the files with the highest numbers.
func quarantine(path string) (kept string, err error) {
	numbers := quarantineNumbers(path)
	next := 1
	if len(numbers) > 0 {
		next = numbers[len(numbers)-1] + 1
	}
	kept = path + quarantineMark + strconv.Itoa(next)
	if err := os.Rename(path, kept); err != nil {
		return "", err
	}
	for _, n := range numbers[:max(0, len(numbers)+1-maxQuarantined)] {
		_ = os.Remove(path + quarantineMark + strconv.Itoa(n)) // an old file that remains does no harm
	}
	return kept, nil
}

// quarantineNumbers returns the numbers of the quarantined files in ascending order.
func quarantineNumbers(path string) (numbers []int) {
	files, _ := os.ReadDir(filepath.Dir(path))
	for _, file := range files {
		text, ok := strings.CutPrefix(file.Name(), filepath.Base(path)+quarantineMark)
		if n, err := strconv.Atoi(text); ok && err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}
