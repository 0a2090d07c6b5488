package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// NameOf returns the name of a context in the list: the one that a person chose, or else the host and port of its first
// server, or the beginning of the id of its log.
func (all *Contexts) NameOf(c *Context) string {
	if c.Name != "" {
		return c.Name
	}
	for _, address := range c.Servers {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" {
			continue
		}
		taken := slices.ContainsFunc(all.List, func(o Context) bool { return o.Log != c.Log && o.Name == u.Host })
		if !taken {
			return u.Host
		}
	}
	return c.Log[:min(len(c.Log), 8)]
}

// Named returns the context that text identifies: by its name, the address of one of its servers, or the id of its log or
// at least four characters at the beginning of it. The error lists the names.
func (all *Contexts) Named(text string) (*Context, error) {
	matches := []func(*Context) bool{
		func(c *Context) bool { return all.NameOf(c) == text },
		func(c *Context) bool { return c.Lists(text) },
		func(c *Context) bool { return len(text) >= 4 && strings.HasPrefix(c.Log, text) },
	}
	for _, match := range matches {
		var found []*Context
		for i := range all.List {
			if match(&all.List[i]) {
				found = append(found, &all.List[i])
			}
		}
		if len(found) == 1 {
			return found[0], nil
		}
		if len(found) > 1 {
			return nil, fmt.Errorf("%.80q matches %d contexts: use the id of the log", text, len(found))
		}
	}
	return nil, fmt.Errorf("context %.80q does not exist", text)
}

// Rename sets the name of a context. The error says why the name cannot be used.
func (all *Contexts) Rename(c *Context, name string) error {
	other, err := all.Named(name)
	if err == nil && other.Log != c.Log {
		return fmt.Errorf("another context is called %.80q", name)
	}
	c.Name = name
	return nil
}

// Remove removes the context of a log. If it was the current one, no context is current.
func (all *Contexts) Remove(log string) {
	all.List = slices.DeleteFunc(all.List, func(c Context) bool { return c.Log == log })
	if all.Current == log {
		all.Current = ""
	}
}
