package postgres

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// defaultSchema is the schema of the log if the URL does not name one.
const defaultSchema = "drover"

// address is a parsed URL.
type address struct {
	config *pgxpool.Config
	schema string
	// hosts is the number of servers in the URL.
	hosts int
	// name is the URL for messages, without password and parameters.
	name string
}

// parseAddress parses a URL such as postgres://user:password@host:5432/database?schema=name. Its errors contain no
// part of the URL that could be a password.
func parseAddress(text string) (address, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return address{}, fmt.Errorf("malformed URL; write it as postgres://USER:PASSWORD@HOST:5432/DATABASE, " +
			"with / ? # @ : %% in the password as %%2F %%3F %%23 %%40 %%3A %%25")
	}
	query := u.Query()
	schema := defaultSchema
	if query.Has("schema") {
		schema = query.Get("schema")
	}
	if err := checkSchema(schema); err != nil {
		return address{}, err
	}
	query.Del("schema")
	u.RawQuery = query.Encode()
	config, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		return address{}, fmt.Errorf("invalid URL: %s", reasonOf(err, u))
	}
	applyDefaults(config, query)
	requireProof(config.ConnConfig)
	name := nameOf(config.ConnConfig, schema)
	return address{config: config, schema: schema, hosts: hostsOf(config.ConnConfig), name: name}, nil
}

// hostsOf returns the number of servers. The library lists each of them with and without TLS.
func hostsOf(c *pgx.ConnConfig) int {
	hosts := map[string]bool{net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))): true}
	for _, other := range c.Fallbacks {
		hosts[net.JoinHostPort(other.Host, strconv.Itoa(int(other.Port)))] = true
	}
	return len(hosts)
}

// applyDefaults sets the parameters that the URL leaves open.
//
// Statements are sent unnamed, and the client caches their descriptions. Once a description is cached, a statement
// takes one round trip, and a pooler in transaction mode has no state to lose.
func applyDefaults(config *pgxpool.Config, query url.Values) {
	c := config.ConnConfig
	if !query.Has("default_query_exec_mode") {
		c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "drover"
	}
	c.RuntimeParams["client_encoding"] = "UTF8"
	config.PingTimeout = 5 * time.Second
}

func checkSchema(schema string) error {
	switch {
	case schema == "":
		return fmt.Errorf("the URL parameter schema is empty")
	case len(schema) > 63 || strings.HasPrefix(schema, "pg_") || strings.ContainsRune(schema, 0):
		return fmt.Errorf("invalid schema name %.80q: use at most 63 bytes, and no pg_ prefix", schema)
	}
	return nil
}

// reasonOf returns the error message of the library on one line and without the password.
func reasonOf(err error, u *url.URL) string {
	text := err.Error()
	if _, after, ok := strings.Cut(text, "`: "); ok {
		text = after
	}
	if password, ok := u.User.Password(); ok && password != "" {
		text = strings.ReplaceAll(text, password, "xxxxx")
	}
	if password := u.Query().Get("password"); password != "" {
		text = strings.ReplaceAll(text, password, "xxxxx")
	}
	return strings.Join(strings.Fields(text), " ")
}

func nameOf(c *pgx.ConnConfig, schema string) string {
	u := url.URL{Scheme: "postgres", Host: c.Host, Path: "/" + c.Database}
	if !strings.HasPrefix(c.Host, "/") {
		u.Host = net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
	}
	if c.User != "" {
		u.User = url.User(c.User)
	}
	if schema != defaultSchema {
		u.RawQuery = "schema=" + url.QueryEscape(schema)
	}
	return u.String()
}
