package process

import (
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// CPU returns the processor time that a process has used in all its threads.
func CPU(pid int) time.Duration {
	var at unix.Timespec
	// The id of another process's CPU clock; see clock_getcpuclockid(3).
	if err := unix.ClockGettime(int32(^pid<<3|2), &at); err != nil {
		return 0
	}
	return time.Duration(at.Nano())
}

// Memory is the memory of a process in bytes: resident (RSS) and proportional (PSS), which divides shared pages
// among their users.
type Memory struct{ RSS, PSS int64 }

// MemoryOf reads the memory of a process.
func MemoryOf(pid int) Memory {
	rollup := fields(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	return Memory{RSS: rollup["Rss"] << 10, PSS: rollup["Pss"] << 10}
}

// BytesWritten returns how many bytes a process has written to disk.
func BytesWritten(pid int) int64 { return fields(fmt.Sprintf("/proc/%d/io", pid))["write_bytes"] }

// OpenFiles returns the number of open files of a process, or -1 if it is unknown.
func OpenFiles(pid int) int {
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return -1
	}
	return len(all)
}

// ProcessTree returns a process and all its descendants.
func ProcessTree(pid int) []int {
	all := []int{pid}
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, thread := range threads {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, thread.Name()))
		for _, word := range strings.Fields(string(children)) {
			if child, err := strconv.Atoi(word); err == nil {
				all = append(all, ProcessTree(child)...)
			}
		}
	}
	return all
}

// fields reads a file with lines "Name: number …". A missing name reads as 0.
func fields(path string) map[string]int64 {
	text, _ := os.ReadFile(path)
	found := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		if words := strings.Fields(rest); len(words) > 0 {
			found[name], _ = strconv.ParseInt(words[0], 10, 64)
		}
	}
	return found
}

// RaiseFileLimit raises the limit of open files of this process and its future children to want, or as far as
// permitted. It returns the new limit.
func RaiseFileLimit(want uint64) uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	raised := unix.Rlimit{Cur: max(want, limit.Cur), Max: max(want, limit.Max)}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) != nil {
		raised = unix.Rlimit{Cur: limit.Max, Max: limit.Max} // the most that is allowed without privileges
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &raised)
	}
	return raised.Cur
}

// CPURecord samples the processor time of a process, so that its use between two points in time can be computed later.
type CPURecord struct {
	pid  int
	stop chan struct{}
	done sync.WaitGroup
	at   []time.Time
	used []time.Duration
}

// sampleEvery is the resolution of a record.
const sampleEvery = time.Millisecond

// RecordCPU starts a record of a process.
func RecordCPU(pid int) *CPURecord {
	r := &CPURecord{pid: pid, stop: make(chan struct{})}
	r.done.Go(func() {
		ticker := time.NewTicker(sampleEvery)
		defer ticker.Stop()
		for {
			r.at, r.used = append(r.at, time.Now()), append(r.used, CPU(pid))
			select {
			case <-ticker.C:
			case <-r.stop:
				return
			}
		}
	})
	return r
}

// End stops the record. Call Between only after End.
func (r *CPURecord) End() {
	close(r.stop)
	r.done.Wait()
	r.at, r.used = append(r.at, time.Now()), append(r.used, CPU(r.pid))
}

// Between returns the processor time that was used between two points in time.
func (r *CPURecord) Between(from, to time.Time) time.Duration { return r.until(to) - r.until(from) }

func (r *CPURecord) until(moment time.Time) time.Duration {
	i := sort.Search(len(r.at), func(i int) bool { return r.at[i].After(moment) })
	switch {
	case i == 0:
		return r.used[0]
	case i == len(r.at):
		return r.used[i-1]
	}
	share := float64(moment.Sub(r.at[i-1])) / float64(r.at[i].Sub(r.at[i-1]))
	return r.used[i-1] + time.Duration(share*float64(r.used[i]-r.used[i-1]))
}

// Quantile returns the value below which the given share of all values lies. It sorts values.
func Quantile(values []time.Duration, share float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(int(share*float64(len(values))), len(values)-1)]
}
