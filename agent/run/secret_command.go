//go:build unix

package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	// secretCommandTimeout bounds the time of a command that prints a secret.
	secretCommandTimeout = 30 * time.Second
	// maxSecretBytes bounds what it prints: an environment variable can have at most 128 KiB.
	maxSecretBytes = 128 << 10
)

// secretCommand is a shell command that prints a secret.
type secretCommand struct {
	command string
	folder  string
	environ []string
	timeout time.Duration // 0: secretCommandTimeout
}

// boundedBuffer is a buffer that refuses to grow beyond maxSecretBytes. After that, the command cannot write either.
type boundedBuffer struct {
	text     bytes.Buffer // not embedded, because its ReadFrom has no bound
	exceeded bool
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.exceeded = b.exceeded || b.text.Len()+len(p) > maxSecretBytes; b.exceeded {
		return 0, io.ErrShortWrite
	}
	return b.text.Write(p)
}

// run returns what the command prints, without the line breaks at its end. It runs as the agent's user, in its own
// session, and is killed when ctx is done or its time has passed. An error continues the sentence "the command …". It
// contains nothing that the command has printed, because that can be the secret even if the command fails.
func (c secretCommand) run(ctx context.Context) (string, error) {
	if c.timeout <= 0 {
		c.timeout = secretCommandTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var printed boundedBuffer
	command := exec.CommandContext(ctx, "/bin/sh", "-c", c.command)
	command.Dir, command.Env, command.Stdout = c.folder, c.environ, &printed
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = drainTimeout // a process that it left running can keep the pipe open
	if err := children.start(command); err != nil {
		return "", fmt.Errorf("was not started: %w", err)
	}
	children.wait(command)
	if printed.exceeded {
		return "", fmt.Errorf("printed more than %d bytes", maxSecretBytes)
	}
	if err := c.failure(ctx, command.ProcessState.ExitCode()); err != nil {
		return "", err
	}
	value := strings.TrimRight(printed.text.String(), "\r\n")
	if value == "" {
		return "", errors.New("printed nothing; it must print the secret to standard output")
	}
	if strings.Contains(value, "\x00") {
		return "", errors.New("printed a zero byte, which an environment variable cannot hold")
	}
	return value, nil
}

// failure returns why the command failed, or nil. The exit code is -1 if a signal ended the command.
func (c secretCommand) failure(ctx context.Context, code int) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("did not end within %s", c.timeout)
	case ctx.Err() != nil:
		return errors.New("was killed because the agent was stopped")
	case code < 0:
		return errors.New("was ended by a signal")
	case code > 0:
		return fmt.Errorf("ended with exit code %d; run it as the user of the agent to see why", code)
	}
	return nil
}
