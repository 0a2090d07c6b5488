package client

import (
	"fmt"
	"strings"
)

// CheckURL returns an error if the host of a URL is an IPv6 address without brackets or with a zone. It accepts any other
// text, whose mistakes the caller describes.
func CheckURL(text string) error {
	_, rest, _ := strings.Cut(text, "://")
	authority, _, _ := strings.Cut(rest, "/")
	authority = authority[strings.LastIndex(authority, "@")+1:]
	inside, bracketed := strings.CutPrefix(authority, "[")
	address, _, _ := strings.Cut(inside, "]")
	switch {
	case bracketed && strings.Contains(address, "%"):
		return fmt.Errorf("%.200q has an IPv6 zone, which other machines cannot use: use an address without %%, or a host name",
			authority)
	case !bracketed && strings.Count(authority, ":") > 1:
		return fmt.Errorf("invalid address %.160q: write an IPv6 address in brackets, for example [2001:db8::1]:7070",
			authority)
	}
	return nil
}
