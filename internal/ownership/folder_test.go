//go:build unix

package ownership

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFoldersThatOthersCanChangeAreRefused(t *testing.T) {
	self, stranger := os.Geteuid(), os.Geteuid()+4711
	for name, c := range map[string]struct {
		mode       fs.FileMode
		owner      int
		group      int
		want       string
		needsRoot  bool
		makeInside func(folder string) error
	}{
		"private":               {0o700, self, os.Getegid(), "", false, nil},
		"readable by others":    {0o755, self, os.Getegid(), "", false, nil},
		"writable by everybody": {0o777, self, os.Getegid(), "every user of this machine can change", false, nil},
		"like /tmp": {0o777 | fs.ModeSticky, self, os.Getegid(), "every user of this machine can add files to", false,
			func(folder string) error { return os.Mkdir(filepath.Join(folder, "of-somebody"), 0o700) }},
		"like /tmp, of somebody else":   {0o777 | fs.ModeSticky, stranger, os.Getegid(), "belongs to user", true, nil},
		"like a new tmpfs":              {0o777 | fs.ModeSticky, self, os.Getegid(), "", false, nil},
		"sticky for another group":      {0o770 | fs.ModeSticky, self, stranger, "the members of group", true, nil},
		"sticky and private":            {0o700 | fs.ModeSticky, self, os.Getegid(), "", false, nil},
		"of somebody else":              {0o700, stranger, os.Getegid(), "belongs to user", true, nil},
		"writable by another group":     {0o770, self, stranger, "the members of group", true, nil},
		"shared by somebody else":       {0o770 | fs.ModeSetgid, self, stranger, "the members of group", true, nil},
		"an entry that is a link":       {0o700, self, os.Getegid(), "is a link", false, link},
		"an entry of somebody else":     {0o700, self, os.Getegid(), "belongs to user", true, foreign},
		"a link among somebody's files": {0o700, self, os.Getegid(), "", false, otherLink},
	} {
		t.Run(name, func(t *testing.T) {
			if c.needsRoot && self != 0 {
				t.Skip("needs root to change owners")
			}
			folder := filepath.Join(t.TempDir(), "data")
			require.NoError(t, os.Mkdir(folder, 0o700))
			if c.makeInside != nil {
				require.NoError(t, c.makeInside(folder))
			}
			require.NoError(t, os.Lchown(folder, c.owner, c.group))
			require.NoError(t, os.Chmod(folder, c.mode))
			err := Check(folder, "journal", "missing")
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, folder)
		})
	}
}

func link(folder string) error { return os.Symlink("/etc", filepath.Join(folder, "journal")) }

func otherLink(folder string) error { return os.Symlink("/etc", filepath.Join(folder, "secrets.env")) }

func foreign(folder string) error {
	path := filepath.Join(folder, "journal")
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	return os.Lchown(path, os.Geteuid()+4711, -1)
}

func TestFolderOfThePrivateGroupIsAccepted(t *testing.T) {
	if !isPrivate(os.Geteuid(), os.Getegid()) {
		t.Skip("this user has no private group")
	}
	folder := t.TempDir()
	require.NoError(t, os.Chmod(folder, 0o775))
	require.NoError(t, Check(folder), "umask 002")
	require.True(t, isPrivate(4711, 4711))
	require.False(t, isPrivate(4711, 4712))
}
