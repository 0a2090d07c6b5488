package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/server"
)

// visit is what came of asking one server.
type visit struct {
	address      string
	asked, ended time.Time
	checkup      doctor.Checkup
	known        explain.List[explain.Server] // those that have begun in its log
	problem      error
	lives        bool      // it says so itself, whatever else it says
	until        time.Time // the end of its certificate; zero: none was seen
}

func (v visit) answered() bool { return v.problem == nil }

// visitWithin bounds how long one server may take.
const visitWithin = 15 * time.Second

func (s *shell) visit(ctx context.Context, address, token, ca string) (v visit) {
	v.address = address
	ctx, cancel := context.WithTimeout(ctx, visitWithin)
	defer cancel()
	carrier, err := carrier(ca)
	if err != nil {
		v.problem = err
		return v
	}
	c := &client.Client{Servers: []string{address}, Token: token, HTTP: carrier}
	_, _ = c.Get(ctx, "/healthz", nil, nil) // the connection is there before the clock is looked at
	v.asked = time.Now()
	_, v.problem = c.Get(ctx, client.Path("doctor"), nil, &v.checkup)
	v.ended = time.Now()
	if v.problem != nil {
		_, err := c.Get(ctx, "/healthz", nil, nil)
		v.lives = err == nil
	} else {
		_, _ = c.Get(ctx, client.Path("servers"), url.Values{"state": {"all"}}, &v.known)
	}
	v.until = certificateEnd(ctx, address, carrier)
	return v
}

// certificateEnd is when the certificate that a server shows ends; zero if it shows none that is good.
func certificateEnd(ctx context.Context, address string, carrier *http.Client) time.Time {
	u, err := url.Parse(address)
	transport, ok := carrier.Transport.(*http.Transport)
	if err != nil || !ok || u.Scheme != "https" {
		return time.Time{}
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "443")
	}
	dialer := tls.Dialer{Config: transport.TLSClientConfig}
	conn, err := dialer.DialContext(ctx, "tcp", host)
	if err != nil {
		return time.Time{}
	}
	defer conn.Close()
	if secured, ok := conn.(*tls.Conn); ok && len(secured.ConnectionState().PeerCertificates) > 0 {
		return secured.ConnectionState().PeerCertificates[0].NotAfter
	}
	return time.Time{}
}

// knows says whether a server has heard of another one; one that cannot say is believed to.
func (v visit) knows(server string) bool {
	return len(v.known.Items) == 0 || slices.ContainsFunc(v.known.Items, func(s explain.Server) bool { return s.ID == server })
}

// doubles finds addresses behind which there are two logs, although a client takes them for one. path is the file that
// lists them; empty: a person has.
func doubles(visits []visit, path string) (found []doctor.Finding) {
	visits = slices.DeleteFunc(slices.Clone(visits), func(v visit) bool { return !v.answered() })
	for i, v := range visits {
		if i > 0 && (!v.knows(visits[0].checkup.Server) || !visits[0].knows(v.checkup.Server)) {
			found = append(found, doctor.TwoLogs(visits[0].address, v.address, path))
		}
	}
	return found
}

// findings are those about the way to the server; others says whether another server has answered.
func (v visit) findings(version string, others bool, path string) (found []doctor.Finding) {
	u, err := url.Parse(v.address)
	if v.problem != nil {
		f := asFailure(v.problem)
		if unreached(v.problem) {
			f.hint = "drover server (on that machine), or name another one with --server URL"
		}
		if unreached(v.problem) && others && path != "" {
			f.hint = "drover server (on that machine); if it is gone for good: " + doctor.Forget(v.address, path)
		}
		silent := doctor.SilentServer(v.address, f.text, f.hint, others && !v.lives)
		if v.lives && f.kind == client.NotFound {
			silent = doctor.VersionFinding("server "+v.address, "older than this program's (it cannot examine itself)", "this program", version)
			silent.Check = "versions"
		}
		return []doctor.Finding{silent}
	}
	found = append(found, doctor.AnsweringServer(v.address, v.checkup.Version, v.ended.Sub(v.asked)))
	switch {
	case !v.until.IsZero():
		found = append(found, doctor.CertificateFinding(v.address, v.until, v.ended))
	case err == nil && u.Scheme == "http":
		found = append(found, doctor.NoTLS(v.address, server.Loopback(u.Hostname())))
	}
	found = append(found, doctor.LocalClock(v.address, v.asked, v.ended, v.checkup.Time))
	if v.checkup.Version != version {
		f := doctor.VersionFinding("this program", version, "server "+v.address, v.checkup.Version)
		f.Check = "versions"
		found = append(found, f)
	}
	return found
}

// examineFiles looks at drover's files on this machine: what holds secrets is its owner's alone, and there is room.
func (s *shell) examineFiles(data string) (found []doctor.Finding) {
	if path, err := config.ContextsPath(); err == nil {
		found = append(found, secretFile(path, "tokens")...)
	}
	if s.files.Path != "" && s.files.Has("token", "join") {
		found = append(found, secretFile(s.files.Path, "a token")...)
	}
	if data == "" {
		data, _ = config.Data()
	}
	if info, err := os.Stat(data); data == "" || err != nil || !info.IsDir() {
		return found
	}
	if free, total := server.Free(data); total > 0 {
		found = append(found, doctor.LocalDisk(data, free, total)...)
	}
	return append(found, secretFile(filepath.Join(data, "secrets.env"), "secrets of steps")...)
}

// secretFile looks at a file with secrets; nothing where there is none.
func secretFile(path, what string) []doctor.Finding {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return []doctor.Finding{doctor.Unreadable(err.Error(), "ls -l "+path)}
	}
	return []doctor.Finding{doctor.SecretFile(path, what, info.Mode())}
}
