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

// disk is a file system in memory that knows what was synced: when its power is cut, it
// keeps what fsync promised and an arbitrary part of what was written since, in any
// order and torn in the middle. Making and removing a file is durable at once.
type disk struct {
	fs.Inode
	mu  sync.Mutex
	off bool // no power: every call fails
	// failing is the share of fsyncs of files that fail as in a kernel: the writes are
	// still read back, but forgotten, and never tried again.
	failing float64
	random  *rand.Rand
}

// file is one file of disk, whose lock it uses.
type file struct {
	fs.Inode
	disk    *disk
	now     []byte
	durable []byte
	pending []change
}

// change is a write that was not synced yet, or a cut to size if data is nil.
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

func (d *disk) Create(ctx context.Context, name string, _, mode uint32, _ *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
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

// cut takes the power away.
func (d *disk) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
}

// restore gives the power back: of what was not synced, each write is there with the
// probability given, and then every fourth only in part.
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

// dump writes what the disk holds to folder, where it is looked at: this process must
// not open files of a file system that it serves itself.
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
	missing(t, "/dev/fuse and the right to mount", err)
	t.Cleanup(func() { require.NoError(t, server.Unmount()) })
	return root, folder
}

// cutPower lets processes write to a disk whose power is cut eight times, and returns how
// many acknowledged events were lost. Before each cut one process is killed, by
// its own hand where an fsync failed, and another goes on. Whatever happens, the log must be whole.
func cutPower(t *testing.T, failing float64, environment string) int {
	root, folder := mount(t, failing)
	random := rand.New(rand.NewPCG(8, 8))
	heard := told{acks: map[string]string{}}
	run := func(more string) *process {
		child := heard.start(t, nil, "write", filepath.Join(folder, "drover.db"), "DROVER_LOG_TURNS=1000000", "DROVER_LOG_NAME=a", environment, more)
		child.listen(20 + random.IntN(200))
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
		gone := heard.lost(t, filepath.Join(copied, "drover.db"))
		integrity(t, filepath.Join(copied, "drover.db"))
		total += len(heard.acks)
		if lost += gone; gone > 0 {
			heard.acks, heard.cursors = map[string]string{}, nil // their places are given out anew
		}
	}
	require.Positive(t, total, "nothing was acknowledged")
	t.Logf("%d acknowledged events checked, 8 power cuts, %d unknown outcomes, %d lost", total, heard.unknown, lost)
	return lost
}
