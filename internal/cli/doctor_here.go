package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/agent/journal"
	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/doctor"
	"github.com/droverhq/drover/explain"
	"github.com/droverhq/drover/internal/config"
	"github.com/droverhq/drover/internal/server"
	"github.com/droverhq/drover/internal/transport"
	"github.com/droverhq/drover/internal/witness"
	"github.com/droverhq/drover/serverkey"
)

// probe is the result of a request to one server.
type probe struct {
	address      string
	asked, ended time.Time
	checkup      doctor.Checkup
	known        explain.List[explain.Server] // the servers in its log
	problem      error
	healthy      bool              // /healthz succeeded
	key          serverkey.Public  // that it has proven
	certificate  *x509.Certificate // nil without TLS, or if it is unknown
}

func (v probe) answered() bool { return v.problem == nil }

// probeTimeout bounds the requests to one server.
const probeTimeout = 15 * time.Second

func (a *app) probe(ctx context.Context, address string, t target) (v probe) {
	v.address = address
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if t.unlisted != "" {
		v.problem = a.refuseUnlisted(ctx, t)
		return v
	}
	httpClient, err := newHTTPClient(t.ca)
	if err != nil {
		v.problem = err
		return v
	}
	var proven atomic.Pointer[serverkey.Public]
	c := &client.Client{Servers: []string{address}, Token: t.token, Relayed: a.token != "", Key: t.key, HTTP: httpClient,
		OnProof: func(address string, key serverkey.Public) {
			if proven.Store(&key); t.proven != nil {
				t.proven(address, key)
			}
		}}
	defer func() {
		if key := proven.Load(); key != nil {
			v.key = *key
		}
	}()
	// connects, so that the time of the next request is only the round trip
	_, _ = c.Get(ctx, "/healthz", nil, nil)
	// without a token no proof is needed, which an older server cannot give
	anyone := &client.Client{Servers: c.Servers, HTTP: httpClient}
	v.asked = time.Now()
	_, v.problem = c.Get(ctx, client.Path("doctor"), nil, &v.checkup)
	v.ended = time.Now()
	if v.problem != nil {
		_, err := anyone.Get(ctx, "/healthz", nil, nil)
		v.healthy = err == nil
	} else {
		_, _ = c.Get(ctx, client.Path("servers"), url.Values{"state": {"all"}}, &v.known)
	}
	v.certificate = certificateOf(ctx, address, httpClient)
	return v
}

// certificateOf returns the certificate that a server, or a proxy in front of it, presents; nil without a valid one.
func certificateOf(ctx context.Context, address string, httpClient *http.Client) *x509.Certificate {
	u, err := url.Parse(address)
	connections, ok := httpClient.Transport.(*http.Transport)
	if err != nil || !ok || u.Scheme != "https" {
		return nil
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "443")
	}
	dialer := tls.Dialer{Config: connections.TLSClientConfig}
	conn, err := dialer.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil
	}
	defer conn.Close()
	if secured, ok := conn.(*tls.Conn); ok && len(secured.ConnectionState().PeerCertificates) > 0 {
		return secured.ConnectionState().PeerCertificates[0]
	}
	return nil
}

// knows reports whether the log of this server lists another server. It returns true if the list is unavailable.
func (v probe) knows(server string) bool {
	return len(v.known.Items) == 0 || slices.ContainsFunc(v.known.Items,
		func(s explain.Server) bool { return s.ID == server })
}

// differentLogs finds servers that are configured together but use different logs. path is the file that lists the
// addresses; it is empty if they come from flags.
func differentLogs(probes []probe, path string) (found []doctor.Finding) {
	probes = slices.DeleteFunc(slices.Clone(probes), func(v probe) bool { return !v.answered() })
	for i, v := range probes {
		if i > 0 && (!v.knows(probes[0].checkup.Server) || !probes[0].knows(v.checkup.Server)) {
			found = append(found, doctor.TwoLogs(probes[0].address, v.address, path))
		}
	}
	return found
}

// findings returns the findings about the connection to the server. others reports whether another server answered.
func (v probe) findings(version string, others bool, path string) (found []doctor.Finding) {
	u, err := url.Parse(v.address)
	if v.problem != nil {
		f := asFailure(v.problem)
		if unreachable(v.problem) {
			f.hint = "drover server (on that machine), or name another server with --server URL"
		}
		if unreachable(v.problem) && others && path != "" {
			f.hint = "drover server (on that machine); if that server is permanently gone: " + doctor.Forget(v.address, path)
		}
		silent := doctor.SilentServer(v.address, f.text, f.hint, others && !v.healthy)
		if v.healthy && f.kind == client.NotFound {
			silent = doctor.VersionFinding("server "+v.address, "older than this program (it has no self-check)",
				"this program", version)
			silent.Check = "versions"
		}
		return []doctor.Finding{silent}
	}
	found = append(found, doctor.AnsweringServer(v.address, v.checkup.Version, v.ended.Sub(v.asked)))
	if !v.key.IsZero() {
		found = append(found, doctor.ServerKey(v.address, v.key))
	}
	switch {
	case v.certificate != nil:
		found = append(found, doctor.CertificateFinding(v.address, v.certificate.NotAfter, v.ended))
		found = append(found, doctor.ProxyFinding(v.address, transport.Fingerprint(v.certificate), v.checkup.Transport)...)
	case err == nil && u.Scheme == "http":
		found = append(found, doctor.NoTLS(v.address, transport.IsLoopback(u.Hostname())))
	}
	found = append(found, doctor.LocalClock(v.address, v.asked, v.ended, v.checkup.Time))
	if v.checkup.Version != version {
		f := doctor.VersionFinding("this program", version, "server "+v.address, v.checkup.Version)
		f.Check = "versions"
		found = append(found, f)
	}
	return found
}

// examineFiles checks drover's files on this machine: the permissions of files with secrets, and free disk space.
func (a *app) examineFiles(data string) (found []doctor.Finding) {
	if path, err := config.ContextsPath(); err == nil {
		found = append(found, secretFile(path, "tokens")...)
	}
	if a.files.Path != "" && a.files.Has("token", "join") {
		found = append(found, secretFile(a.files.Path, "a token")...)
	}
	if data == "" {
		data, _ = config.Data()
	}
	if info, err := os.Stat(data); data == "" || err != nil || !info.IsDir() {
		return found
	}
	if logs := witness.Others(data, uuid.Nil); len(logs) > 1 {
		found = append(found, severalLogs(data, logs))
	}
	for _, folder := range journal.LeftFolders(data) {
		found = append(found, doctor.LeftFolder(folder.Path, folder.Mounts))
	}
	if free, total := server.DiskSpace(data); total > 0 {
		found = append(found, doctor.LocalDisk(data, free, total)...)
	}
	return append(found, secretFile(filepath.Join(data, "secrets.env"), "secrets of steps")...)
}

// severalLogs reports that servers have used a data folder for several logs. The last one that was written is in use.
func severalLogs(data string, logs []witness.Other) doctor.Finding {
	slices.SortFunc(logs, func(a, b witness.Other) int { return a.Time.Compare(b.Time) })
	former, current := logs[len(logs)-2], logs[len(logs)-1]
	return doctor.SeveralLogs(data, former.Made.String(), former.Position.String(), current.Made.String(), former.Path)
}

// secretFile checks the permissions of a file with secrets, if it exists.
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
