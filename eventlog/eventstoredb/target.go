package eventstoredb

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
)

// target is a connection string taken apart.
type target struct {
	configuration esdb.Configuration
	// log is the log's name.
	log string
	// shown is the connection string as it may stand in errors: without password and parameters.
	shown string
}

// schemes are the ways to write a connection string, and what the client calls them.
var schemes = map[string]string{
	"esdb": "esdb", "esdb+discover": "esdb+discover",
	"kurrentdb": "esdb", "kurrentdb+discover": "esdb+discover",
	"kurrent": "esdb", "kurrent+discover": "esdb+discover",
}

// parameters are those that the client knows; it would pass over others, and over slips, in silence.
var parameters = []string{
	"tls", "tlsverifycert", "tlscafile", "usercertfile", "userkeyfile", "nodepreference", "maxdiscoverattempts",
	"discoveryinterval", "gossiptimeout", "keepaliveinterval", "keepalivetimeout", "defaultdeadline",
}

// parse takes a connection string apart. Its errors never hold the password.
func parse(text string) (target, error) {
	t := target{log: "default", shown: redact(text)}
	scheme, rest, _ := strings.Cut(text, "://")
	known, ok := schemes[scheme]
	if !ok {
		return t, fmt.Errorf("%s is no connection string; write it as esdb://HOST:2113 or esdb+discover://NAME:2113", t.shown)
	}
	hosts, query, _ := strings.Cut(rest, "?")
	if hosts = strings.TrimSuffix(hosts, "/"); hosts == "" {
		return t, fmt.Errorf("%s names no host; write it as esdb://HOST:2113", t.shown)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return t, fmt.Errorf("the parameters after %s cannot be read", t.shown)
	}
	if err := t.takeLog(values); err != nil {
		return t, err
	}
	for key := range values {
		if !slices.Contains(parameters, strings.ToLower(key)) {
			return t, fmt.Errorf("%s has the parameter %q, which is unknown; known are log, %s",
				t.shown, key, strings.Join(parameters, ", "))
		}
	}
	configuration, err := esdb.ParseConnectionString(known + "://" + hosts + "?" + values.Encode())
	if err != nil {
		return t, fmt.Errorf("%s: %w", t.shown, harmless(err, hosts))
	}
	if err := configuration.Validate(); err != nil {
		return t, fmt.Errorf("%s: %w", t.shown, err)
	}
	t.configuration = *configuration
	return t, nil
}

// takeLog takes the log's name off the parameters. A name holds no dot, because the
// streams of the log "a" would then be among those of a log "a.b" and the other way round.
func (t *target) takeLog(values url.Values) error {
	if values.Has("log") {
		t.log = values.Get("log")
	}
	values.Del("log")
	if t.log == "" || len(t.log) > 64 || strings.ContainsFunc(t.log, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) {
		return fmt.Errorf("%q is no name of a log; use at most 64 of a-z, 0-9, - and _", t.log)
	}
	return nil
}

// harmless is an error of the client's parser without the password, which the parser of
// URLs repeats in part or whole.
func harmless(err error, hosts string) error {
	at := strings.LastIndex(hosts, "@")
	if at < 0 {
		if inner := (*url.Error)(nil); errors.As(err, &inner) {
			return inner.Err
		}
		return err
	}
	if inner := (*url.Error)(nil); errors.As(err, &inner) || strings.Contains(err.Error(), "format") {
		return errors.New("user, password, host or port cannot be read; write special characters of the password as %XX")
	}
	_, password, _ := strings.Cut(hosts[:at], ":")
	if password == "" {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), password, "xxxxx"))
}

// redact is a connection string with neither password nor parameters.
func redact(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return "what was given"
	}
	at := strings.LastIndex(rest, "@")
	hosts, _, _ := strings.Cut(rest[at+1:], "?")
	if at < 0 {
		return fmt.Sprintf("%.200s", scheme+"://"+hosts)
	}
	user, _, _ := strings.Cut(rest[:at], ":")
	return fmt.Sprintf("%.200s", scheme+"://"+user+":xxxxx@"+hosts)
}
