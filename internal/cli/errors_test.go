package cli_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // alterLog changes the file of a log directly
)

// errorCase is a command line that fails. errorFixture replaces $NAME in all texts.
type errorCase struct {
	// typed are the arguments of drover, separated by spaces; '…' quotes an argument with spaces. `<FILE` at the end
	// sets stdin.
	typed   string
	code    int
	message string // the message or its beginning
	hint    string // may be empty if the message contains it
}

// errorCases lists the failing command lines. The stderr must start with "drover: MESSAGE" and contain HINT.
var errorCases = map[string][]errorCase{
	"arguments": {
		{"deploi", 2, `unknown command "deploi" for "drover"`, `did you mean "deploy"?`},
		{"token mint", 2, `unknown command "mint" for "drover token"`, "`drover token --help` lists the commands"},
		{"get machnes", 2, `unknown kind "machnes"`, `did you mean "machines"?`},
		{"get machines --stat online", 2, "unknown flag: --stat", `did you mean "--state"?`},
		{"get", 2, "`drover get` takes KIND [NAME]", "`drover get --help`"},
		{"get machines a b", 2, "`drover get` takes KIND [NAME]: unexpected argument \"b\"", ""},
		{"deploy shop 1.0", 2, "`drover deploy` needs --to ENV", "`drover deploy --help`"},
		{"why ''", 2, "an argument of `drover why` is empty", "is a shell variable unset?"},
		{"get machines -o xml", 2, `invalid -o "xml"`, "use table, wide, json, yaml, name or jsonl"},
		{"get machines --limit -1", 2, "invalid --limit -1", "use 1 or more, or 0 for all"},
		{"get machines --limit many", 2, `invalid --limit "many"`, "use a whole number, such as 10"},
		{"get machines --state lost", 1, `unknown state "lost"`, "use one of online, offline"},
		{"get trigger joins", 2, "the trigger needs a project",
			"write PROJECT/joins, or add --project PROJECT"},
		{"delete release shop/1.0", 2, "a release cannot be deleted", "it stays in the event log"},
		{"completion tcsh", 2, `unknown shell "tcsh"`, "use bash, zsh, fish or powershell"},
		{"test $DIR/nowhere.txt", 1, "file ", ""},
		{"doctor now", 2, "`drover doctor` takes no arguments", ""},
	},
	"times and numbers": {
		{"token create --for 5x", 2, `invalid --for "5x"`, "use a duration, such as 30s, 10m or 24h"},
		{"token create --for -5h", 2, "invalid --for -5h0m0s", "use a positive duration, such as 2h"},
		{"pin shop 1.0 --in production --for 10", 2, `invalid --for "10"`, "such as 30s"},
		{"token create --join --uses -1", 1, "invalid uses -1", "use 1 or more, or 0 for no limit"},
		{"deploy shop 1.0 --to production --max-parallel -1", 1, "invalid maxParallel -1",
			"use 1 or more, 1% to 100%, or 0 for no limit"},
		{"deploy shop 1.0 --to production --max-parallel 101%", 1, "invalid maxParallel 101%",
			"use 1 or more, 1% to 100%, or 0 for no limit"},
		{"deploy shop 1.0 --to production --timeout 5s", 2, "--timeout requires --wait", ""},
		{"why web-01 --at yesterday", 1, `invalid position or time "yesterday"`,
			"use a position such as 12, or a time such as 2026-01-31T09:00:00Z"},
		{"events --after soon", 1, `invalid position "soon"`, "use the position of an event, such as 12"},
		{"server --tick 1500ms", 1, "invalid tick 1.5s", "use whole seconds, at least 1s"},
		{"server --tick 0s", 1, "invalid tick 0s", "use whole seconds, at least 1s"},
	},
	"tokens": {
		{"--token 0123456789ab.wrong get machines", 4, "the token is unknown, revoked or expired",
			"create another one with `drover token create`"},
		{"--token nonsense get machines", 4, "the token is unknown, revoked or expired", ""},
		{"--token $REVOKED get machines", 4, "the token is unknown, revoked or expired", ""},
		{"--token $EXPIRED get machines", 4, "token read-", "ask somebody with an admin token for another one"},
		{"--token $READ release create shop 2.0", 4, "token ",
			"may not create releases: the token has scope read (use a token with scope deploy, or ask an admin for an Access"},
		{"--token $JOIN get machines", 4, "secrets of agents and join tokens are refused over TCP without TLS", "elsewhere https"},
		{"--token 'a\nb' get machines", 4, "the token contains an invalid character",
			"exactly what `drover token create` printed"},
		{"token create --scope all", 2, `unknown scope "all"`, "use admin, deploy or read"},
		{"token create --permission deploy", 1, `unknown permission "deploy"`, "use none, viewer, operator"},
		{"token create --uses 3", 2, "--uses and --role require --join", ""},
		{"token create --environment production", 2, "--environment requires --permission or --join", ""},
		{"token create --join --environment gone", 5, `environment "gone" does not exist`,
			"`drover get environments` lists them"},
		{"token revoke 0123456789ab", 5, `token "0123456789ab" does not exist`, "`drover token list` lists them"},
	},
	"connection": {
		{"--server https://127.0.0.1:$PORT get machines", 1, "https://127.0.0.1:$PORT speaks HTTP without TLS",
			"write http:// instead of https://"},
		{"--server http://127.0.0.1:$TLSPORT get machines", 1, "http://127.0.0.1:$TLSPORT speaks TLS",
			"write https:// instead of http://"},
		{"--server https://127.0.0.1:$TLSPORT get machines", 1,
			"the certificate of https://127.0.0.1:$TLSPORT is signed by an unknown authority", "--ca FILE"},
		{"--server https://127.0.0.1:$TLSPORT --ca $DIR/other.pem get machines", 1,
			"the certificate of https://127.0.0.1:$TLSPORT is signed by an unknown authority", "--ca FILE"},
		{"--server https://localhost:$TLSPORT --ca $DIR/cert.pem get machines", 1,
			"the certificate of https://localhost:$TLSPORT is valid for 127.0.0.1, not for \"localhost\"",
			"use a valid name in --server"},
		{"--ca $DIR/nowhere.pem get machines", 1, `could not read --ca "$DIR/nowhere.pem": no such file or directory`,
			""},
		{"--ca $DIR/key.pem get machines", 1, `--ca "$DIR/key.pem" contains no PEM certificate`, ""},
		{"--server ftp://localhost get machines", 1, `invalid server address "ftp://localhost"`,
			"write it as http://HOST:PORT or https://HOST:PORT"},
		{"--server 127.0.0.1:7070 get machines", 1, `invalid server address "127.0.0.1:7070"`,
			"write it as http://HOST:PORT"},
		{"--server http://127.0.0.1:1 get machines", 1, "http://127.0.0.1:1 does not answer: connection refused",
			"is `drover server` running there?"},
		{"--server http://drover.invalid:7070 get machines", 1, `unknown host "drover.invalid"`,
			"check the spelling of --server"},
		{"--server http://127.0.0.1:$PORT/drover get machines", 1,
			"there is no drover API at http://127.0.0.1:$PORT/drover", "use http://127.0.0.1:$PORT"},
		{"--server $STRANGER get machines", 1, "invalid response from $STRANGER",
			"check that client and server have the same version"},
		{"--server $OLDER doctor", 1, "1 bad finding out of", "the last column shows how to fix it"},
		{"--server $OLDER get machines", 1, "$OLDER does not support this request",
			"its version differs from this program's"},
		{"--server $HOSTILE get machines", 1, `a detail \u001b[31mwith colours\u001b[0m`, ""},
	},
	"settings": {
		{"--config $DIR/unknown.yaml get machines", 1, `$DIR/unknown.yaml:2:1: unknown key "listne"`,
			`did you mean "listen"?`},
		{"--config $DIR/half.yaml get machines", 1,
			"$DIR/half.yaml:1:9: invalid YAML: sequence end token ']' not found", ""},
		{"--config $DIR/twice.yaml get machines", 1, "", `"listen"`},
		{"--config $DIR/nowhere.yaml get machines", 1,
			`config file "$DIR/nowhere.yaml" could not be read: no such file or directory`,
			"name another with --config"},
		{"--config $DIR get machines", 1, `config file "$DIR" could not be read: is a directory`,
			"name another with --config"},
		{"--config $DIR/tick.yaml server", 1, `$DIR/tick.yaml:1: key "tick": invalid value "soon"`, "use a duration"},
	},
	"starting": {
		{"server --data $DIR/file", 1, "create data folder $DIR/file: not a directory", "choose another with --data"},
		{"server --data /proc/nowhere", 1, "create data folder /proc/nowhere: no such file or directory",
			"choose another with --data"},
		{"server --listen 127.0.0.1:$PORT --data $DIR/b", 1,
			"listen on 127.0.0.1:$PORT: the address is in use, perhaps by another drover server",
			"choose another address with --listen"},
		{"server --listen 127.0.0.1:99999 --data $DIR/b", 1, "listen on 127.0.0.1:99999: invalid port (99999)",
			"with a port from 0 to 65535"},
		{"server --listen here", 1, `invalid listen address "here"`, "use HOST:PORT"},
		{"server --listen 0.0.0.0:0", 1, "listen address 0.0.0.0:0 can be reached from other machines",
			"or --insecure"},
		{"server --log sqlite:$DIR/newer.db", 1, "open log $DIR/newer.db: ", "use a newer drover"},
		{"server --log sqlite:$DIR/shop.yaml", 1, "open log $DIR/shop.yaml: unusable log", ""},
		{"server --log sqlite:$DIR", 1, "open log $DIR: unusable log: it is a folder",
			"use a file in it"},
		{"server --log mysql://db", 1, `unsupported log URL "mysql://db"`, "use sqlite:PATH"},
		{"eventlog verify --log sqlite:$DIR/nowhere.db", 1, `there is no log at "$DIR/nowhere.db"`, ""},
		{"eventlog import $DIR/shop.yaml --log sqlite:$DIR/c.db", 1, "$DIR/shop.yaml: ",
			"not an archive of an event log"},
		{"agent --server http://127.0.0.1:$PORT --name a --data $DIR/new --join 'a.b\r'", 1,
			"the join token contains an invalid character", "what `drover token create --join` printed"},
		{"agent --server ftp://host --name a", 1, "", "unsupported scheme ftp, use http or https"},
		{"agent --server http://127.0.0.1:$PORT --name a --data $DIR/file", 1, "", "not a directory"},
	},
	"names": {
		{"get machine \x1b[31mred", 5, `machine "\x1b[31mred" does not exist`, "`drover get machines` lists them"},
		{"get machine \xff\xfe", 5, `machine "\xff\xfe" does not exist`, ""},
		{"get machine ../../tokens", 5, `machine "../../tokens" does not exist`, ""},
		{"delete machine ..", 5, `machine ".." does not exist`, ""},
		{"release create shop ../1", 1, `version "../1" has '.' at character 1`, `use letters, digits and "._-+"`},
		{"deploy shop 1.0 --to prodction", 5, `environment "prodction" does not exist`,
			"`drover get environments` lists them"},
		{"deploy shop 9.9 --to production", 5, `project shop has no release "9.9"`,
			"create it with `drover release create shop VERSION`"},
		{"deploy shop 1.0 --to production --machine web-09", 5, `machine "web-09" does not exist`,
			"`drover get machines` lists them"},
		{"eventlog clear machine/web-01", 5, `stream "machine/web-01" is not set aside`,
			"`/readyz` lists the streams that are set aside"},
	},
	"conflicts": {
		{"release create shop 1.1", 6, "release 1.1 of project shop already exists with other", ""},
		{"deploy shop 1.1 --to staging", 6, "project shop is pinned to 1.0 in staging",
			"`drover unpin shop --in staging` first"},
		{"delete environment production", 6, "environment production is in use by", "delete or move them first"},
		{"delete policy default", 6, "policy default cannot be deleted", "apply it with different settings instead"},
		{"rollback shop --to production", 6, "project shop has no release to roll back to in production", ""},
		{"eventlog accept-restore", 6, "there is nothing to accept", ""},
		{"deploy shop 1.0 --to production --machine web-01 --exclude web-01", 1, "machines and exclude are both set",
			"use either --machine or --exclude"},
	},
	"files": {
		{"apply", 2, "`drover apply` needs -f FILE|DIR|-", ""},
		{"apply shop.yaml", 2, "`drover apply` takes no arguments: unexpected argument \"shop.yaml\"", ""},
		{"apply -f $DIR/nowhere.yaml", 1, "", "nowhere.yaml"},
		{"apply -f $DIR/empty", 1, "folder $DIR/empty contains no *.yaml or *.yml files", ""},
		{"apply -f -", 1, "stdin contains no document", "add a document that begins with apiVersion: drover.dev/v1"},
		{"apply -f - <$DIR/key-unknown.yaml", 1, "stdin:4:8: ", "    4 | spec: {stepps: []}\n      |        ^"},
		{"apply -f $DIR/key-twice.yaml", 1,
			`$DIR/key-twice.yaml:3:1: duplicate key "kind", first on line 2 (keep one of the two)`,
			"    3 | kind: Project\n      | ^"},
		{"apply -f $DIR/two.yaml", 1,
			"$DIR/two.yaml:7:18: duplicate Environment blue, first at $DIR/two.yaml:1 (keep one of the two)",
			"      |                  ^"},
		{"apply -f $DIR/kind.yaml", 1, `$DIR/kind.yaml:2:7: unknown kind "Enviroment" (did you mean "Environment"?)`,
			"      |       ^"},
		{"apply -f $DIR/version.yaml", 1, `$DIR/version.yaml:1:13: unsupported apiVersion "v1" (write drover.dev/v1)`,
			"^"},
		{"apply -f $DIR/tab.yaml", 1, "$DIR/tab.yaml:3:1: a tab indents this line (use spaces)", "^"},
		{"apply -f $DIR/duration.yaml", 1,
			`$DIR/duration.yaml:4:22: spec.offlineAfter must be a duration, not text "soon" (such as 30s, 10m or 24h)`,
			"^"},
		{"apply -f $DIR/negative.yaml", 1,
			"$DIR/negative.yaml:4:21: invalid maxParallel -1 (use 1 or more, 1% to 100%, or 0 for no limit)", "^"},
		{"apply -f $DIR/ansi.yaml", 1, `$DIR/ansi.yaml:3:18: environment "\x1b[31mred" has '\x1b' at character 1`, "^"},
		{"apply -f $DIR/path.yaml", 1, `$DIR/path.yaml:3:18: environment "../../etc" has '.' at character 1`, "^"},
		{"apply -f $DIR/empty-name.yaml", 1, "$DIR/empty-name.yaml:3:18: environment must not be empty",
			"use letters, digits"},
		{"apply -f $DIR/long-name.yaml", 1, "$DIR/long-name.yaml:3:18: environment \"aaaa",
			"has 1000000 characters (use at most 63)"},
		{"apply -f $DIR/latin.yaml", 1, "$DIR/latin.yaml:3:18: invalid byte 0xfc", "use YAML or JSON in UTF-8"},
		{"apply -f $DIR/roles.yaml", 1, "$DIR/roles.yaml:1:1: the document has too many values", ""},
		{"apply -f $DIR/big.yaml", 1, "$DIR/big.yaml: the input is longer than 8 MiB (split it into several files)",
			""},
		{"diff -f $DIR/reference.yaml", 1, "the files contain an error; nothing was written",
			`$DIR/reference.yaml:4:21: Machine web-02: environment "lost" does not exist`},
	},
}

// errorFiles are the files below $DIR.
var errorFiles = map[string]string{
	"shop.yaml": "apiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: " +
		"production}\n---\napiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: staging}\n---\n" +
		shopWithStep("one") + "---\napiVersion: drover.dev/v1\nkind: Machine\nmetadata: {name: web-01}\nspec: " +
		"{environment: production}\n",
	"other.yaml":       shopWithStep("two"),
	"unknown.yaml":     "tick: 5s\nlistne: x\n",
	"half.yaml":        "listen: [\n",
	"twice.yaml":       "listen: a:1\nlisten: b:1\n",
	"tick.yaml":        "tick: soon\n",
	"file":             "this is a file\n",
	"key-unknown.yaml": "apiVersion: drover.dev/v1\nkind: Project\nmetadata: {name: shop}\nspec: {stepps: []}\n",
	"key-twice.yaml":   "apiVersion: drover.dev/v1\nkind: Environment\nkind: Project\nmetadata: {name: shop}\n",
	"two.yaml": "apiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: blue}\n---\napiVersion: " +
		"drover.dev/v1\nkind: Environment\nmetadata: {name: blue}\n",
	"kind.yaml":    "apiVersion: drover.dev/v1\nkind: Enviroment\nmetadata: {name: blue}\n",
	"version.yaml": "apiVersion: v1\nkind: Environment\nmetadata: {name: blue}\n",
	"tab.yaml":     "apiVersion: drover.dev/v1\nkind: Environment\n\tmetadata: {name: blue}\n",
	"duration.yaml": "apiVersion: drover.dev/v1\nkind: MachinePolicy\nmetadata: {name: a}\nspec: {offlineAfter: " +
		"soon}\n",
	"negative.yaml":   "apiVersion: drover.dev/v1\nkind: Project\nmetadata: {name: a}\nspec: {maxParallel: -1}\n",
	"ansi.yaml":       "apiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: \"\\x1b[31mred\"}\n",
	"path.yaml":       "apiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: ../../etc}\n",
	"empty-name.yaml": "apiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: ''}\n",
	"long-name.yaml": "apiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: " +
		strings.Repeat("a", 1_000_000) + "}\n",
	"latin.yaml": "apiVersion: drover.dev/v1\nkind: Environment\nmetadata: {name: \xfcber}\n",
	"roles.yaml": "apiVersion: drover.dev/v1\nkind: Project\nmetadata: {name: a}\nspec: {roles: [" +
		strings.Repeat("r, ", 10_000) + "r]}\n",
	"reference.yaml": "apiVersion: drover.dev/v1\nkind: Machine\nmetadata: {name: web-02}\nspec: {environment: " +
		"lost}\n",
	"empty/README": "no YAML here\n",
}

func shopWithStep(text string) string {
	return "apiVersion: drover.dev/v1\nkind: Project\nmetadata: {name: shop}\nspec: {steps: [{name: say, run: echo " +
		text + "}]}\n"
}

func TestErrorsHaveMessageHintAndExitCode(t *testing.T) {
	t.Parallel()
	m := newErrorFixture(t)
	count := 0
	for group, rows := range errorCases {
		count += len(rows)
		for _, row := range rows {
			t.Run(group+"/"+row.typed, func(t *testing.T) { m.check(t, row) })
		}
	}
	require.GreaterOrEqual(t, count, 60)
}

// errorFixture is a fixture with servers, tokens and files for the error cases.
type errorFixture struct {
	*fixture
	names *strings.Replacer
}

func newErrorFixture(t *testing.T) *errorFixture {
	s := newFixture(t)
	dir := filepath.Join(s.Folder, "w")
	for name, text := range errorFiles {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	big, err := os.Create(filepath.Join(dir, "big.yaml"))
	require.NoError(t, err)
	require.NoError(t, big.Truncate(100<<20))
	require.NoError(t, big.Close())
	selfSigned(t, dir, "", "127.0.0.1")
	selfSigned(t, dir, "other", "elsewhere")

	s.server()
	context := s.ok("token", "create")
	secured := newFixture(t)
	secured.process("server", "--data", secured.data, "--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key",
		filepath.Join(dir, "key.pem"))
	secured.ok("get", "servers") // waits until it is ready

	// The state that the cases conflict with.
	s.ok("apply", "-f", filepath.Join(dir, "shop.yaml"))
	s.ok("release", "create", "shop", "1.0")
	s.ok("release", "create", "shop", "1.1")
	s.ok("pin", "shop", "1.0", "--in", "staging")
	s.ok("apply", "-f", filepath.Join(dir, "other.yaml")) // the steps differ from those of release 1.1
	revoked, expired := s.ok("token", "create"), s.ok("token", "create", "--scope", "read", "--for", "1s")
	s.ok("token", "revoke", strings.Split(revoked, ".")[0])
	s.eventually("the token expires", func() bool {
		_, _,
			code := s.run("--token", expired, "get", "machines")
		return code == 4
	})
	newer := filepath.Join(dir, "newer.db")
	s.ok("eventlog", "export", filepath.Join(dir, "archive.jsonl"))
	s.ok("eventlog", "import", filepath.Join(dir, "archive.jsonl"), "--log", "sqlite:"+newer)
	alterLog(t, newer, "PRAGMA user_version = 99")

	s.Env = slices.DeleteFunc(s.Env, func(pair string) bool { return strings.HasPrefix(pair, "DROVER_TICK=") })
	s.Env = append(s.Env, "DROVER_TOKEN="+context, "DROVER_LISTEN=127.0.0.1:0",
		"DROVER_DATA="+filepath.Join(s.Folder, "b"))
	return &errorFixture{fixture: s, names: strings.NewReplacer("$DIR", dir, "$PORT", portOf(s.address), "$TLSPORT",
		portOf(secured.address),
		"$REVOKED", revoked, "$EXPIRED", expired, "$READ", s.ok("token", "create", "--scope",
			"read"), "$JOIN", s.ok("token", "create", "--join", "--any-environment"),
		"$STRANGER", answering(t, always(http.StatusOK, "text/html", "<html>welcome</html>")),
		"$OLDER", answering(t, always(http.StatusNotFound, "application/problem+json",
			`{"kind":"not-found","detail":"there is no route GET /api/v1/machines"}`)),
		"$HOSTILE", answering(t, always(http.StatusConflict, "application/problem+json",
			`{"kind":"invalid","detail":"a detail \u001b[31mwith colours\u001b[0m"}`)))}
}

// answering starts an HTTP server with one handler and returns its address.
func answering(t *testing.T, answer http.HandlerFunc) (address string) {
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s.URL
}

// always returns a handler that gives every request the same answer.
func always(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// selfSigned creates a self-signed certificate: cert.pem and key.pem, or only NAME.pem if name is set.
func selfSigned(t *testing.T, dir, name string, hosts ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hosts[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			form.IPAddresses = append(form.IPAddresses, ip)
		} else {
			form.DNSNames = append(form.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	write := func(file, kind string, text []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file),
			pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: text}), 0o600))
	}
	if name != "" {
		write(name+".pem", "CERTIFICATE", der)
		return
	}
	write("cert.pem", "CERTIFICATE", der)
	write("key.pem", "PRIVATE KEY", secret)
}

// alterLog executes an SQL statement on the file of a log.
func alterLog(t *testing.T, path, statement string) {
	t.Helper()
	file, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer file.Close()
	_, err = file.ExecContext(t.Context(), statement)
	require.NoError(t, err)
}

// internals matches text that must not appear in messages: details of Go, stack traces, JSON.
var internals = regexp.MustCompile(`strconv\.|goroutine |panic|0x[0-9a-f]{8}|\{"|%!|<nil>|failed to|\.go:\d`)

func (m *errorFixture) check(t *testing.T, row errorCase) {
	typed, fed, _ := strings.Cut(m.names.Replace(row.typed), " <")
	cmd := m.Command(t.Context(), typedWords(typed)...)
	if fed != "" {
		file, err := os.Open(fed)
		require.NoError(t, err)
		defer file.Close()
		cmd.Stdin = file
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	_ = cmd.Run()
	lines := strings.Split(stderr.String(), "\n")
	for len(lines) > 1 && !strings.HasPrefix(lines[0], "drover: ") {
		lines = lines[1:] // other messages before the error
	}
	text := strings.Join(lines, "\n")
	require.Equal(t, row.code, cmd.ProcessState.ExitCode(), text)
	require.True(t, strings.HasPrefix(text, "drover: "+m.names.Replace(row.message)), "%s\nwanted: drover: %s", text,
		m.names.Replace(row.message))
	require.Contains(t, text, m.names.Replace(row.hint))
	require.NotRegexp(t, internals, text)
	require.Less(t, len(text), 2000, "the message is short enough to read")
	require.NotContains(t, strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) {
			return '\x00'
		}
		return r
	}, text), "\x00", "no control bytes reach a terminal")
}

// typedWords splits a command line at spaces, except inside '…'.
func typedWords(line string) (all []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			all = append(all, part)
			continue
		}
		all = append(all, strings.Fields(part)...)
	}
	return all
}
