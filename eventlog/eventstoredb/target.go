package eventstoredb

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/droverhq/drover/internal/transport"
)

// target is a parsed connection string.
type target struct {
	configuration esdb.Configuration
	// log is the name of the log.
	log string
	// shown is the connection string for error messages, without password and parameters.
	shown string
}

// schemes maps the accepted URL schemes to those of the client.
var schemes = map[string]string{
	"esdb": "esdb", "esdb+discover": "esdb+discover",
	"kurrentdb": "esdb", "kurrentdb+discover": "esdb+discover",
	"kurrent": "esdb", "kurrent+discover": "esdb+discover",
}

// parameters lists the parameters that the client supports. The client silently ignores others, including typos.
var parameters = []string{
	"tls", "tlsverifycert", "tlscafile", "usercertfile", "userkeyfile", "nodepreference", "maxdiscoverattempts",
	"discoveryinterval", "gossiptimeout", "keepaliveinterval", "keepalivetimeout", "defaultdeadline",
}

// parse parses a connection string. Its errors never contain the password.
func parse(text string) (target, error) {
	t := target{log: "default", shown: redact(text)}
	scheme, rest, _ := strings.Cut(text, "://")
	known, ok := schemes[scheme]
	if !ok {
		return t, fmt.Errorf("%s is not a valid connection string: use esdb://HOST:2113 or esdb+discover://NAME:2113",
			t.shown)
	}
	hosts, query, _ := strings.Cut(rest, "?")
	if hosts = strings.TrimSuffix(hosts, "/"); hosts == "" {
		return t, fmt.Errorf("%s has no host: use esdb://HOST:2113", t.shown)
	}
	if strings.ContainsAny(hosts[strings.LastIndex(hosts, "@")+1:], "[]") {
		return t, fmt.Errorf("%s has an IPv6 address, which the client library does not support: use a host name", t.shown)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return t, fmt.Errorf("the parameters after %s are malformed", t.shown)
	}
	if err := t.takeLog(values); err != nil {
		return t, err
	}
	for key := range values {
		if !slices.Contains(parameters, strings.ToLower(key)) {
			return t, fmt.Errorf("%s has the unknown parameter %q: use log, %s",
				t.shown, key, strings.Join(parameters, ", "))
		}
	}
	configuration, err := esdb.ParseConnectionString(known + "://" + hosts + "?" + values.Encode())
	if err != nil {
		return t, fmt.Errorf("%s: %w", t.shown, withoutPassword(err, hosts))
	}
	if err := configuration.Validate(); err != nil {
		return t, fmt.Errorf("%s: %w", t.shown, err)
	}
	t.configuration = *configuration
	return t, nil
}

// exposure returns why others can read or change the traffic to a node of the connection string, or nothing if they
// cannot. The nodes that gossip or DNS name are on other machines if one of the named hosts is.
func (t *target) exposure() string {
	hosts := []string{transport.HostName(t.configuration.Address)}
	for _, seed := range t.configuration.GossipSeeds {
		hosts = append(hosts, seed.Host)
	}
	for _, host := range hosts {
		switch {
		case host == "", transport.IsLoopback(host):
		case t.configuration.DisableTLS:
			return "traffic to EventStoreDB on " + host + " is not encrypted"
		case t.configuration.SkipCertificateVerification:
			return "the certificate of EventStoreDB on " + host + " is not verified"
		}
	}
	return ""
}

// takeLog removes the log's name from the parameters. A name contains no dot: otherwise the prefix of log "a" would
// also match the streams of log "a.b".
func (t *target) takeLog(values url.Values) error {
	if values.Has("log") {
		t.log = values.Get("log")
	}
	values.Del("log")
	if t.log == "" || len(t.log) > 64 || strings.ContainsFunc(t.log, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) {
		return fmt.Errorf("invalid log name %q: use at most 64 characters of a-z, 0-9, - and _", t.log)
	}
	return nil
}

// withoutPassword removes the password from an error of the client's parser. The URL parser quotes it in full or in
// part.
func withoutPassword(err error, hosts string) error {
	at := strings.LastIndex(hosts, "@")
	if at < 0 {
		if inner := (*url.Error)(nil); errors.As(err, &inner) {
			return inner.Err
		}
		return err
	}
	if inner := (*url.Error)(nil); errors.As(err, &inner) || strings.Contains(err.Error(), "format") {
		return errors.New(
			"malformed user, password, host or port; percent-encode special characters in the password (%XX)")
	}
	_, password, _ := strings.Cut(hosts[:at], ":")
	if password == "" {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), password, "xxxxx"))
}

// redact removes the password and the parameters from a connection string.
func redact(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return "the log URL"
	}
	at := strings.LastIndex(rest, "@")
	hosts, _, _ := strings.Cut(rest[at+1:], "?")
	if at < 0 {
		return fmt.Sprintf("%.200s", scheme+"://"+hosts)
	}
	user, _, _ := strings.Cut(rest[:at], ":")
	return fmt.Sprintf("%.200s", scheme+"://"+user+":xxxxx@"+hosts)
}
