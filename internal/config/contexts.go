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

// Context is what a client needs to reach the servers of one log.
type Context struct {
	// Name is what a person calls the context; empty: NameOf chooses a name.
	Name string `json:"name,omitempty"`
	// Log is the id of the log. A restored log has the same id.
	Log     string   `json:"log"`
	Servers []string `json:"servers"`
	// Sockets are the addresses of the Unix sockets of servers on this machine. Clients use them only if they are named.
	Sockets []string `json:"sockets,omitempty"`
	Token   string   `json:"token"`
	// CA is a PEM file with the authorities of the servers' certificates. If empty, the authorities of the system are
	// used.
	CA string `json:"ca,omitempty"`
	// ServerKey is the key that the servers must prove, as package serverkey writes it. If empty, the next server that
	// proves that it knows the token sets it.
	ServerKey string `json:"serverKey,omitempty"`

	unknown unknown
}

// Contexts is the content of a client's contexts file.
type Contexts struct {
	Current string    `json:"current"` // log id
	List    []Context `json:"contexts"`

	unknown unknown
}

// ContextsPath returns the path of the contexts file.
func ContextsPath() (string, error) {
	folder, err := Folder()
	return filepath.Join(folder, "contexts.json"), err
}

// ReadContexts reads the file at path. A missing file has no contexts.
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
		return Contexts{}, fmt.Errorf(
			"%s is not a contexts file (move it away, and a server that starts writes a new one): %w",
			path,
			err,
		)
	}
	return all, nil
}

// ChangeContexts reads the file at path, calls change and replaces the file, under a lock against other programs. It
// writes nothing if change returns false or an error.
func ChangeContexts(path string, change func(*Contexts) (changed bool, err error)) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("create the folder of the client's contexts: %w", err)
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

// Find returns the context of a log, or nil.
func (all *Contexts) Find(log string) *Context {
	for i := range all.List {
		if all.List[i].Log == log {
			return &all.List[i]
		}
	}
	return nil
}

// For returns the context for a server's address: the one that lists the address, or else the current one, or nil. The
// address may be empty.
func (all *Contexts) For(server string) *Context {
	for i := range all.List {
		if server != "" && all.List[i].Lists(server) {
			return &all.List[i]
		}
	}
	return all.Find(all.Current)
}

// Lists reports whether the context lists the address of a server, perhaps written in another form.
func (c *Context) Lists(server string) bool {
	same := func(listed string) bool { return SameServer(listed, server) }
	return slices.ContainsFunc(c.Servers, same) || slices.ContainsFunc(c.Sockets, same)
}

// AddSocket records the address of the Unix socket of a server.
func (c *Context) AddSocket(address string) (changed bool) {
	if address == "" || slices.Contains(c.Sockets, address) {
		return false
	}
	c.Sockets = append(c.Sockets, address)
	c.Sockets = slices.Delete(c.Sockets, 0, max(0, len(c.Sockets)-maxServers))
	return true
}

// Pin records the key that the servers of the context must prove from now on.
func (c *Context) Pin(key string) (changed bool) {
	changed = key != "" && c.ServerKey != key
	if changed {
		c.ServerKey = key
	}
	return changed
}

// maxServers is the largest number of addresses in a context: the first one, and the most recent ones.
const maxServers = 8

// AddServer records that an address belongs to the servers of a log now, and to no other log. A new address is added
// after the others, so that clients continue to use the same one; with first it is added before them. The log becomes
// current if there is no current one, or if the current one lost its last address by this call.
func (all *Contexts) AddServer(log, address, ca string, first bool) (changed bool) {
	for i := range all.List {
		c := &all.List[i]
		switch {
		case c.Log != log:
			changed = c.drop(address) || changed
			continue
		case !slices.ContainsFunc(c.Servers, func(s string) bool { return canonical(s) == canonical(address) }):
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
	index := len(c.Servers)
	if first {
		index = 0
	}
	c.Servers = slices.Insert(c.Servers, index, address)
	if over := len(c.Servers) - maxServers; over > 0 {
		c.Servers = slices.Delete(c.Servers, 1, 1+over)
	}
}

func (c *Context) drop(address string) (changed bool) {
	before := len(c.Servers)
	c.Servers = slices.DeleteFunc(c.Servers, func(s string) bool { return canonical(s) == canonical(address) })
	return len(c.Servers) < before
}

// RemoveServer removes an address from the context of a log, unless it is the first one, by which clients know the log.
func (all *Contexts) RemoveServer(log, address string) (changed bool) {
	c := all.Find(log)
	same := func(listed string) bool { return canonical(listed) == canonical(address) }
	return c != nil && slices.IndexFunc(c.Servers, same) > 0 && c.drop(address)
}

// Add adds a context. It becomes the current one only if there is no current one: another server must not change where
// commands go.
func (all *Contexts) Add(c Context) {
	all.List = append(all.List, c)
	if all.Find(all.Current) == nil {
		all.Current = c.Log
	}
}
