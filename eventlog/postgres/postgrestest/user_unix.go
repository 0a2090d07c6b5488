//go:build unix

package postgrestest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// account returns the user that the server runs as: the user of the tests, or postgres if that is root.
func account() (uid, gid int, err error) {
	if os.Getuid() != 0 {
		return os.Getuid(), os.Getgid(), nil
	}
	found, err := user.Lookup("postgres")
	if err != nil {
		return 0, 0, fmt.Errorf("PostgreSQL cannot run as root: %w", err)
	}
	if uid, err = strconv.Atoi(found.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(found.Gid)
	return uid, gid, err
}

// runAsAccount makes command run as account in a new process group, so that an interrupt from the terminal reaches
// the tests first.
func runAsAccount(command *exec.Cmd) error {
	uid, gid, err := account()
	if err != nil {
		return err
	}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		command.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return nil
}

// chownToAccount changes the owner of folder to account.
func chownToAccount(folder string) error {
	uid, gid, err := account()
	if err != nil {
		return err
	}
	return os.Chown(folder, uid, gid)
}

// signals maps each mode to the signal that stops PostgreSQL.
var signals = map[Mode]os.Signal{Fast: syscall.SIGINT, Immediate: syscall.SIGQUIT, Kill: syscall.SIGKILL}
