package sqlite_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/stretchr/testify/require"
)

// disk is a file system in memory that distinguishes synced data. When its power is cut, it retains the data that
// fsync promised and a random part of later writes, in any order and possibly torn. Creating and removing a file is
// durable immediately.
type disk struct {
	fs.Inode
	mu  sync.Mutex
	off bool // no power: every call fails
	// failing is the share of fsyncs of files that fail as in a kernel: the data can still be read, but it is never
	// written.
	failing float64
	random  *rand.Rand
}

// file is one file of disk. The lock of disk guards it.
type file struct {
	fs.Inode
	disk    *disk
	now     []byte
	durable []byte
	pending []change
}

// change is a write that is not synced yet, or a truncation to size if data is nil.
type change struct {
	at   int
	data []byte
}

func (c change) apply(content []byte) []byte {
	if end := c.at + len(c.data); c.data == nil || end > len(content) {
		content = append(content[:min(end, len(content))], make([]byte, max(0, end-len(content)))...)
	}
	copy(content[c.at:], c.data)
	return content
}

// call runs one call of the kernel, unless the power is off.
func (d *disk) call(run func()) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return syscall.EIO
	}
	run()
	return 0
}

func (d *disk) Create(ctx context.Context, name string, _, mode uint32, _ *fuse.EntryOut) (*fs.Inode, fs.FileHandle,
	uint32, syscall.Errno) {
	made := d.NewPersistentInode(ctx, &file{disk: d}, fs.StableAttr{Mode: syscall.S_IFREG | mode})
	return made, nil, 0, d.call(func() {})
}

func (d *disk) Unlink(context.Context, string) syscall.Errno { return d.call(func() {}) }

func (d *disk) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno { return d.call(func() {}) }

func (f *file) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, f.disk.call(func() {})
}

func (f *file) Read(_ context.Context, _ fs.FileHandle, into []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	n := 0
	errno := f.disk.call(func() { n = copy(into, f.now[min(int(at), len(f.now)):]) })
	return fuse.ReadResultData(into[:n]), errno
}

func (f *file) change(c change) {
	f.now = c.apply(f.now)
	f.pending = append(f.pending, c)
}

func (f *file) Write(_ context.Context, _ fs.FileHandle, data []byte, at int64) (uint32, syscall.Errno) {
	return uint32(len(data)), f.disk.call(func() { f.change(change{int(at), slices.Clone(data)}) })
}

func (f *file) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return f.disk.call(func() {
		if size, ok := in.GetSize(); ok {
			f.change(change{at: int(size)})
		}
		f.attributes(out)
	})
}

func (f *file) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return f.disk.call(func() { f.attributes(out) })
}

func (f *file) attributes(out *fuse.AttrOut) {
	out.Mode, out.Size = 0o600, uint64(len(f.now))
}

func (f *file) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	failed := false
	errno := f.disk.call(func() {
		failed = f.disk.random.Float64() < f.disk.failing
		for _, c := range f.pending {
			if !failed {
				f.durable = c.apply(f.durable)
			}
		}
		f.pending = nil
	})
	if failed {
		return syscall.EIO
	}
	return errno
}

// cut turns the power off.
func (d *disk) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
}

// restore turns the power on again. Each unsynced write survives with the given probability. Of the survivors, one in
// four is torn.
func (d *disk) restore(survives float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, child := range d.Children() {
		f := child.Operations().(*file)
		for _, c := range f.pending {
			if d.random.Float64() >= survives {
				continue
			}
			if len(c.data) > 1 && d.random.IntN(4) == 0 {
				c.data = c.data[:d.random.IntN(len(c.data))]
			}
			f.durable = c.apply(f.durable)
		}
		f.now, f.pending = slices.Clone(f.durable), nil
	}
	d.off = false
}

// dump writes the content of the disk to folder, where the test inspects it. This process must not open files of a
// file system that it serves itself.
func (d *disk) dump(t *testing.T, folder string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, child := range d.Children() {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), child.Operations().(*file).now, 0o600))
	}
}

func mount(t *testing.T, failing float64) (*disk, string) {
	folder := t.TempDir()
	root := &disk{failing: failing, random: rand.New(rand.NewPCG(7, 7))}
	never := time.Duration(0)
	server, err := fs.Mount(folder, root, &fs.Options{
		EntryTimeout: &never, AttrTimeout: &never, NegativeTimeout: &never,
		MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "powerless", Name: "powerless"},
	})
	missing(t, "/dev/fuse and permission to mount", err)
	t.Cleanup(func() { require.NoError(t, server.Unmount()) })
	return root, folder
}

// cutPower runs processes that write to a disk, cuts its power eight times, and returns the number of lost
// acknowledged events. Before each cut one process is killed (it kills itself after a failed fsync) and another
// continues. After each cut the log must be intact.
func cutPower(t *testing.T, failing float64, environment string) int {
	root, folder := mount(t, failing)
	random := rand.New(rand.NewPCG(8, 8))
	rep := report{acks: map[string]string{}}
	run := func(extra string) *process {
		child := rep.start(t, nil, "write", filepath.Join(folder, "drover.db"), "DROVER_LOG_TURNS=1000000",
			"DROVER_LOG_NAME=a", environment, extra)
		child.read(20 + random.IntN(200))
		return child
	}
	total, lost := 0, 0
	for round := range 8 {
		run("DROVER_LOG_DIE=yes").kill(t)
		child := run("")
		root.cut()
		child.kill(t)
		root.restore([]float64{0, 0.5}[round%2])
		copied := t.TempDir()
		root.dump(t, copied)
		gone := rep.lost(t, filepath.Join(copied, "drover.db"))
		integrity(t, filepath.Join(copied, "drover.db"))
		total += len(rep.acks)
		if lost += gone; gone > 0 {
			rep.acks, rep.cursors = map[string]string{}, nil // their revisions are used again
		}
	}
	require.Positive(t, total, "nothing was acknowledged")
	t.Logf("%d acknowledged events checked, 8 power cuts, %d unknown outcomes, %d lost", total, rep.unknown, lost)
	return lost
}
