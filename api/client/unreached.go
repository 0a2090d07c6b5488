package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// unreached is a Problem without an answer. Where waiting cannot help, as with a wrong address or certificate, it has no
// cause, and nobody waits.
func unreached(server string, err error) *Problem {
	p := &Problem{Title: "No server answers", Kind: Unavailable}
	if detail, hint := Misled(server, err); detail != "" {
		p.Detail, p.Hint = detail, hint
		return p
	}
	p.Detail, p.Hint, p.cause = fmt.Sprintf("%s does not answer: %v", server, bare(err)), "is `drover server` running there?", err
	return p
}

// Misled says in words what is wrong with the way to a server if it is something that somebody must mend: its address, its
// certificate, TLS on one side alone. Both texts are empty if it is not.
func Misled(server string, err error) (detail, hint string) {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var name *net.DNSError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return "the certificate of " + server + " is from an authority that this machine does not know",
			"name the authority's certificate with --ca FILE; a server's own will do"
	case errors.As(err, &host):
		return fmt.Sprintf("the certificate of %s is good for %s, not for %.80q", server, namesOf(host.Certificate), host.Host),
			"use such a name in --server, or give the server a certificate for this one"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate of " + server + " is not good at this time: " + validity(invalid.Cert, time.Now()), "renew it, or put this machine's clock right"
	case errors.As(err, &invalid):
		return "the certificate of " + server + " is not good: " + bare(invalid).Error(), "give the server another one"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return server + " speaks HTTP without TLS", "write http:// instead of https://, or give the server --tls-cert and --tls-key"
	case errors.As(err, &name) && name.IsNotFound:
		return fmt.Sprintf("no host with the name %.80q is known, so %s cannot be reached", name.Name, server), "is --server spelt right?"
	}
	return "", ""
}

func namesOf(c *x509.Certificate) string {
	names := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name"
	}
	return strings.Join(names[:min(len(names), 5)], ", ")
}

func validity(c *x509.Certificate, now time.Time) string {
	if now.Before(c.NotBefore) {
		return "it begins on " + c.NotBefore.UTC().Format(time.DateTime)
	}
	return "it ended on " + c.NotAfter.UTC().Format(time.DateTime)
}

// misplaced is the problem in an answer that shows that the address is wrong or the server of another version; nil if it
// shows neither.
func misplaced(server string, answer *http.Response, body []byte, found *Problem) *Problem {
	base, err := url.Parse(server)
	switch {
	case err != nil:
		return nil
	case answer.StatusCode == http.StatusBadRequest && PlainToTLS(string(body)):
		return &Problem{Title: "TLS is spoken there", Kind: Unavailable, Detail: server + " speaks TLS", Hint: "write https:// instead of http://, and name its authority with --ca if it is one of your own"}
	case answer.StatusCode != http.StatusNotFound && answer.StatusCode != http.StatusMethodNotAllowed:
		return nil
	case strings.Trim(base.Path, "/") != "":
		base.Path = ""
		return &Problem{Title: "No API there", Kind: Invalid, Detail: "there is no API of drover at " + server, Hint: "drover answers at the root: use " + base.String()}
	case strings.HasPrefix(found.Detail, "there is no route "):
		return &Problem{Title: "Not known there", Kind: Invalid, Detail: server + " does not know what it was asked for (" + found.Detail + ")", Hint: "it is of another version than this program: compare `drover version` with `drover get servers`"}
	}
	return nil
}

// PlainToTLS says whether an answer is that of a port which speaks TLS and was spoken to without.
func PlainToTLS(body string) bool {
	return strings.HasPrefix(body, "Client sent an HTTP request to an HTTPS server")
}
