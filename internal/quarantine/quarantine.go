package quarantine

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// retained is how many damaged files with the same original name are kept.
const retained = 3

// Rename renames the damaged file at path to PATH.damaged-NUMBER and returns that path. Numbers, unlike times, are
// unique even if the clock is wrong. It keeps the files with the highest numbers and removes older ones. The caller
// syncs the folder if the rename must survive a power cut.
func Rename(path string) (kept string, err error) {
	numbers := numbersOf(path)
	next := 1
	if len(numbers) > 0 {
		next = numbers[len(numbers)-1] + 1
	}
	kept = numbered(path, next)
	if err := os.Rename(path, kept); err != nil {
		return "", err
	}
	for _, n := range numbers[:max(0, len(numbers)+1-retained)] {
		_ = os.Remove(numbered(path, n)) // an old file that remains does no harm
	}
	return kept, nil
}

func numbered(path string, number int) string { return path + ".damaged-" + strconv.Itoa(number) }

// numbersOf returns the numbers of the renamed files in ascending order. It ignores names that Rename does not choose.
func numbersOf(path string) (numbers []int) {
	files, _ := os.ReadDir(filepath.Dir(path))
	for _, file := range files {
		text, ok := strings.CutPrefix(file.Name(), filepath.Base(path)+".damaged-")
		if n, err := strconv.Atoi(text); ok && err == nil && numbered(path, n) == path+".damaged-"+text {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}
