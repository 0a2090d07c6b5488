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

// connectionProblem returns the problem for a server that sent no response. Its cause is nil if a retry cannot help,
// for example because the address or the certificate is wrong, so that callers do not retry.
func connectionProblem(server string, err error) *Problem {
	if found := (*Problem)(nil); errors.As(err, &found) { // of the proof that preceded the request
		return found
	}
	p := &Problem{Title: "Server unreachable", Kind: Unavailable}
	if detail, hint := ExplainConfiguration(server, err); detail != "" {
		p.Detail, p.Hint = detail, hint
		return p
	}
	p.Detail = fmt.Sprintf("%s does not answer: %v", server, reason(err))
	p.Hint, p.cause = "is `drover server` running there?", err
	return p
}

// ExplainConfiguration explains a connection error that is caused by the configuration: the address, the certificate,
// or TLS on only one side. It returns empty texts for other errors, which a retry may solve.
func ExplainConfiguration(server string, err error) (detail, hint string) {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var name *net.DNSError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return "the certificate of " + server + " is signed by an unknown authority",
			"pass the authority's certificate, or the server's own certificate, with --ca FILE"
	case errors.As(err, &host):
		names := namesOf(host.Certificate)
		return fmt.Sprintf("the certificate of %s is valid for %s, not for %.80q", server, names, host.Host),
			"use a valid name in --server, or install a certificate for this name on the server"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate of " + server + " is not valid now: " + validity(invalid.Cert, time.Now()),
			"renew the certificate, or correct the clock of this machine"
	case errors.As(err, &invalid):
		return "the certificate of " + server + " is invalid: " + reason(invalid).Error(),
			"install another certificate on the server"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch),
		strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return server + " speaks HTTP without TLS",
			"write http:// instead of https://, or start the server with --tls-cert and --tls-key"
	case errors.As(err, &name) && name.IsNotFound:
		return fmt.Sprintf("unknown host %.80q in %s", name.Name, server), "check the spelling of --server"
	}
	return "", ""
}

func namesOf(c *x509.Certificate) string {
	names := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no host"
	}
	return strings.Join(names[:min(len(names), 5)], ", ")
}

func validity(c *x509.Certificate, now time.Time) string {
	if now.Before(c.NotBefore) {
		return "it becomes valid on " + c.NotBefore.UTC().Format(time.DateTime)
	}
	return "it expired on " + c.NotAfter.UTC().Format(time.DateTime)
}

// addressProblem returns a better problem for a response that reveals a wrong address or a server of another version;
// nil for any other response.
func addressProblem(server string, response *http.Response, body []byte, found *Problem) *Problem {
	base, err := url.Parse(server)
	if _, isSocket := SocketPath(server); isSocket {
		base = &url.URL{} // its path names a file
	}
	switch {
	case err != nil:
		return nil
	case response.StatusCode == http.StatusBadRequest && IsPlainHTTPToTLS(string(body)):
		return &Problem{Title: "TLS required", Kind: Unavailable, Detail: server + " speaks TLS",
			Hint: "write https:// instead of http://, and pass the certificate of a private authority with --ca"}
	case response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusMethodNotAllowed:
		return nil
	case strings.Trim(base.Path, "/") != "":
		base.Path = ""
		return &Problem{Title: "No API", Kind: Invalid, Detail: "there is no drover API at " + server,
			Hint: "the API is at the root: use " + base.String()}
	case strings.HasPrefix(found.Detail, "there is no route "):
		return &Problem{Title: "Unsupported request", Kind: Invalid,
			Detail: server + " does not support this request (" + found.Detail + ")",
			Hint:   "its version differs from this program's: compare `drover version` with `drover get servers`"}
	}
	return nil
}

// IsPlainHTTPToTLS reports whether body is the response from a TLS port to an HTTP request without TLS.
func IsPlainHTTPToTLS(body string) bool {
	return strings.HasPrefix(body, "Client sent an HTTP request to an HTTPS server")
}
