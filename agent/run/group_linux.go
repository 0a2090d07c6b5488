package run

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process is the information about one process in /proc.
type process struct {
	id, parent     int
	group, session int
	state          byte
	start          uint64
	used           uint64 // processor time in kernel ticks
}

// busy reports whether the process runs, waits for the processor or waits for a disk.
func (p process) busy() bool { return p.state == 'R' || p.state == 'D' }

// awaitExit waits until the child has exited, without reaping it.
func awaitExit(child int) {
	for {
		err := unix.Waitid(unix.P_PID, child, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// newGroup returns the group of a leader that was just started.
func newGroup(leader int) Group {
	g := Group{ID: leader, Boot: bootID()}
	if p, err := readProcess(leader); err == nil {
		g.Start = p.start
	}
	return g
}

// bootID returns the id of this boot of the machine, or "" if the kernel does not provide it.
func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

// members returns the live processes of the group and of the session that its leader started.
func (g Group) members() (members []process) {
	return processes(func(p process) bool {
		return (p.group == g.ID || p.session == g.ID) && p.state != 'Z' && p.state != 'X'
	})
}

// exitedChildren returns the ids of the children of this process that have exited and are not reaped.
func exitedChildren() (ids []int) {
	own := os.Getpid()
	for _, p := range processes(func(p process) bool { return p.parent == own && p.state == 'Z' }) {
		ids = append(ids, p.id)
	}
	return ids
}

// processes returns the processes in /proc that are wanted, in the order of their ids.
func processes(wanted func(process) bool) (found []process) {
	folder, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(-1)
	for _, name := range names {
		id, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, err := readProcess(id); err == nil && wanted(p) {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b process) int { return cmp.Compare(a.id, b.id) })
	return found
}

// readProcess reads /proc/ID/stat. The second field is the program's name in parentheses and may contain any
// character, so the fields are counted after the last parenthesis.
func readProcess(id int) (process, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
	if err != nil {
		return process{}, err
	}
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	if len(fields) < 20 {
		return process{}, fmt.Errorf("/proc/%d/stat: %d fields", id, len(fields))
	}
	p := process{id: id, state: fields[0][0]}
	p.parent, _ = strconv.Atoi(fields[1])
	p.group, _ = strconv.Atoi(fields[2])
	p.session, _ = strconv.Atoi(fields[3])
	user, _ := strconv.ParseUint(fields[11], 10, 64)
	system, _ := strconv.ParseUint(fields[12], 10, 64)
	p.used = user + system
	p.start, err = strconv.ParseUint(fields[19], 10, 64)
	return p, err
}

// arguments returns the command line of the process.
func (p process) arguments() []string {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.id))
	return strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
}

// ownUnit returns the service of systemd that this process belongs to; empty if it belongs to none.
func ownUnit() string {
	groups, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(groups)) {
		if unit := path.Base(strings.TrimSpace(line)); strings.HasSuffix(unit, ".service") {
			return unit
		}
	}
	return ""
}

// carries reports whether the process has this entry in its initial environment.
func (p process) carries(entry string) bool {
	environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.id))
	return slices.Contains(strings.Split(string(environ), "\x00"), entry)
}
