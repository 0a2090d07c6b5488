package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// Context is what a client needs to speak to the servers of one log.
type Context struct {
	// Log is the id that the log was made with; it outlives restores.
	Log     string   `json:"log"`
	Servers []string `json:"servers"`
	Token   string   `json:"token"`
	// CA is a PEM file that vouches for the servers; empty: the system's authorities do.
	CA string `json:"ca,omitempty"`
}

// Contexts is the file of a client's contexts.
type Contexts struct {
	Current string    `json:"current"` // log id
	List    []Context `json:"contexts"`
}

// ContextsPath is where the contexts are.
func ContextsPath() (string, error) {
	folder, err := Folder()
	return filepath.Join(folder, "contexts.json"), err
}

// ReadContexts reads the file at path. One that is not there is empty.
func ReadContexts(path string) (Contexts, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Contexts{}, nil
	}
	if err != nil {
		return Contexts{}, fmt.Errorf("read the client's contexts: %w", err)
	}
	var all Contexts
	if err := json.Unmarshal(text, &all); err != nil {
		return Contexts{}, fmt.Errorf("%s does not hold contexts (move it away, and a starting server writes a new one): %w", path, err)
	}
	return all, nil
}

// ChangeContexts reads the file at path, lets change work on it and writes it back whole, while no
// other program does the same. Nothing is written when change says that nothing changed.
func ChangeContexts(path string, change func(*Contexts) (changed bool, err error)) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the folder of the client's contexts: %w", err)
	}
	unlock, err := lockedfile.MutexAt(path + ".lock").Lock()
	if err != nil {
		return fmt.Errorf("lock the client's contexts: %w", err)
	}
	defer unlock()
	all, err := ReadContexts(path)
	if err != nil {
		return err
	}
	if changed, err := change(&all); err != nil || !changed {
		return err
	}
	return all.write(path)
}

func (all Contexts) write(path string) error {
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the client's contexts: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".contexts-*") // 0600
	if err != nil {
		return fmt.Errorf("write the client's contexts: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(append(text, '\n'))
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write the client's contexts: %w", err)
	}
	return nil
}

// Find returns the context of a log, nil if there is none.
func (all *Contexts) Find(log string) *Context {
	for i := range all.List {
		if all.List[i].Log == log {
			return &all.List[i]
		}
	}
	return nil
}

// For returns the context to use for a server that was named, or for none: the one that lists this
// address, else the current one. It returns nil if there is neither.
func (all *Contexts) For(server string) *Context {
	for i := range all.List {
		if server != "" && slices.Contains(all.List[i].Servers, server) {
			return &all.List[i]
		}
	}
	return all.Find(all.Current)
}

// maxServers is how many addresses a context keeps: the first one, and those that were served last.
const maxServers = 8

// Serve notes that address belongs to the servers of log now, and to no other log any more. An address that is new to the
// log comes behind those that are there, so that what clients speak to does not change under them; with first it comes
// before them. The log becomes the current one if none is, or if the current one has lost its last address by that.
func (all *Contexts) Serve(log, address, ca string, first bool) (changed bool) {
	for i := range all.List {
		c := &all.List[i]
		switch {
		case c.Log != log:
			changed = c.drop(address) || changed
			continue
		case !slices.Contains(c.Servers, address):
			c.enlist(address, first)
			changed = true
		}
		if ca != "" && c.CA != ca {
			c.CA, changed = ca, true
		}
	}
	if current := all.Find(all.Current); current == nil || len(current.Servers) == 0 && current.Log != log {
		all.Current, changed = log, true
	}
	return changed
}

func (c *Context) enlist(address string, first bool) {
	place := len(c.Servers)
	if first {
		place = 0
	}
	c.Servers = slices.Insert(c.Servers, place, address)
	if over := len(c.Servers) - maxServers; over > 0 {
		c.Servers = slices.Delete(c.Servers, 1, 1+over)
	}
}

func (c *Context) drop(address string) (changed bool) {
	before := len(c.Servers)
	c.Servers = slices.DeleteFunc(c.Servers, func(s string) bool { return s == address })
	return len(c.Servers) < before
}

// Leave takes address out of the context of log, unless it is the first one there: a log is never left without the
// address that its clients know it by.
func (all *Contexts) Leave(log, address string) (changed bool) {
	c := all.Find(log)
	return c != nil && slices.Index(c.Servers, address) > 0 && c.drop(address)
}

// Add keeps a new context and makes it the current one.
func (all *Contexts) Add(c Context) {
	all.List = append(all.List, c)
	all.Current = c.Log
}
