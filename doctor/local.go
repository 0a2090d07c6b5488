package doctor

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/droverhq/drover/serverkey"
)

// The findings in this file are about the machine that runs `drover doctor` and its connections to the servers. Examine
// returns the findings about a server.

// certificateSoon is the remaining lifetime below which a certificate is a warning.
const certificateSoon = 14 * 24 * time.Hour

// SilentServer reports a server that gave no answer, or not the answer of a drover server. others is true if another
// server answered.
func SilentServer(address, sentence, hint string, others bool) Finding {
	f := Finding{Severity: Bad, Check: "server", Text: sentence, Fix: hint}
	if others {
		f.Severity = Warn
	}
	if f.Fix == "" {
		f.Fix = "curl -s " + shellQuote(address) + "/healthz"
	}
	return f
}

// TwoLogs reports that two addresses in one client context serve different logs. path is the file that lists them. It
// is empty if the addresses were given on the command line.
func TwoLogs(one, other, path string) Finding {
	f := Finding{Severity: Bad, Check: "server",
		Text: fmt.Sprintf("%s and %s serve different logs, for example a log and its copy: "+
			"a command can go to either", one, other), Fix: "name only one of them with --server"}
	if path != "" {
		f.Fix = "stop the wrong server; if it is " + other + ", run: " + Forget(other, path) +
			"; otherwise run the same with " + one
	}
	return f
}

// Forget returns the shell command that removes a server's address from the file with a client's contexts.
func Forget(address, path string) string {
	return fmt.Sprintf("(umask 077; jq %s %s > %[3]s && mv %[3]s %[2]s)",
		shellQuote(`.contexts[].servers -= ["`+address+`"]`), shellQuote(path), shellQuote(path+".new"))
}

// SeveralLogs reports that a data folder was used for another log before: that log may have been deleted by mistake.
// witness is the file that remembers it, and head the position of its last event.
func SeveralLogs(folder, former, head, current, witness string) Finding {
	return Finding{Severity: Warn, Check: "log",
		Text: fmt.Sprintf("servers have used %s for log %s up to #%s, and now use log %s: was the first one deleted?", folder,
			former, head, current),
		Fix: "restore log " + former + ", or if it is not needed: rm " + shellQuote(witness)}
}

// AnsweringServer reports a server that answered.
func AnsweringServer(address, version string, took time.Duration) Finding {
	return Finding{Severity: OK, Check: "server", Text: fmt.Sprintf("%s answered within %s, version %s", address,
		took.Round(time.Millisecond), version)}
}

// ServerKey reports the key that a server has proven. People compare it with the one on the server's machine.
func ServerKey(address string, key serverkey.Public) Finding {
	return Finding{Severity: OK, Check: "server", Text: address + " has the server key " + key.String()}
}

// CertificateFinding examines when a server's certificate expires.
func CertificateFinding(address string, end, now time.Time) Finding {
	left := end.Sub(now)
	f := Finding{Severity: OK, Check: "tls", Text: fmt.Sprintf("the certificate of %s is valid for another %s",
		address, span(left))}
	switch {
	case left <= 0:
		f.Severity, f.Text = Bad, fmt.Sprintf("the certificate of %s expired on %s", address, end.UTC().Format(time.DateOnly))
	case left < certificateSoon:
		f.Severity = Warn
	default:
		return f
	}
	f.Fix = "replace the files that the server's --tls-cert and --tls-key name with a new certificate and its key"
	return f
}

// ProxyFinding reports that TLS ends at a proxy in front of a server: the server received the request of a client, which
// verified the certificate seen, without TLS or with another certificate. It returns nothing if TLS ends at the server.
func ProxyFinding(address, seen string, at Transport) []Finding {
	text := "TLS to " + address + " ends at a proxy, whose certificate was verified; "
	switch {
	case at.Protocol == "plain" || at.Protocol == "socket":
		text += "the server got the request without TLS, so the proxy can read tokens and secrets"
	case at.Protocol == "tls" && at.Certificate != seen:
		text += "the server has another certificate, so the proxy can read tokens and secrets"
	default:
		return nil
	}
	return []Finding{{Severity: OK, Check: "tls", Text: text}}
}

// NoTLS reports that traffic to a server is not encrypted. On loopback, that is not a problem.
func NoTLS(address string, loopback bool) Finding {
	if loopback {
		return Finding{Severity: OK, Check: "tls", Text: address + " is on this machine and does not need TLS"}
	}
	return Finding{Severity: Warn, Check: "tls", Text: "traffic to " + address + ", including tokens, is not encrypted",
		Fix: "drover server --tls-cert cert.pem --tls-key key.pem (and --server https://… here)"}
}

// SecretFile examines the permissions of a file with secrets. what names its content.
func SecretFile(path, what string, mode fs.FileMode) Finding {
	f := Finding{Severity: OK, Check: "files",
		Text: fmt.Sprintf("%s, which contains %s, is accessible only to its owner", path, what)}
	if others := mode.Perm() & 0o077; others != 0 {
		f.Severity = Bad
		f.Text = fmt.Sprintf("%s, which contains %s, is accessible to other users of this machine (mode %04o)", path,
			what, mode.Perm())
		f.Fix = "chmod 600 " + shellQuote(path)
	}
	return f
}

// Unreadable reports a file that exists but cannot be used.
func Unreadable(sentence, do string) Finding {
	return Finding{Severity: Bad, Check: "files", Text: sentence, Fix: do}
}

// LeftFolder reports the folder of an ended part that the agent could not remove. mounts are the mount points in it.
func LeftFolder(folder string, mounts []string) Finding {
	f := Finding{Severity: Warn, Check: "files",
		Text: "the agent could not remove " + folder + ", the folder of an ended part; its log names the reason",
		Fix:  "ls -laR " + shellQuote(folder) + " (then remove it, or restart the agent after fixing the reason)"}
	if len(mounts) > 0 {
		f.Text = "the agent could not remove " + folder + ", the folder of an ended part: a step left something mounted at " +
			mounts[0]
		f.Fix = "umount " + shellQuote(mounts[0]) + " (and restart the agent, which then removes the folder)"
	}
	return f
}

// NoContext reports that this user has no token for any log.
func NoContext(path string) Finding {
	return Finding{Severity: Warn, Check: "files", Text: "this user has no client context (" + path +
		"), and therefore no token", Fix: "run drover server once as this user, or set DROVER_TOKEN and DROVER_SERVER"}
}

// LocalDisk examines the disk of a folder on this machine.
func LocalDisk(folder string, free, total uint64) []Finding {
	found := DiskFindings(folder, free, total)
	if len(found) == 0 {
		found = []Finding{{Severity: OK, Text: fmt.Sprintf("%s of %s are free in %s", bytes(free), bytes(total), folder)}}
	}
	for i := range found {
		found[i].Check = "disk"
	}
	return found
}

// LocalClock compares this machine's clock with that of a server. asked and answered are times of the local clock;
// reported is the time of the server's clock.
func LocalClock(address string, asked, answered, reported time.Time) Finding {
	half := answered.Sub(asked) / 2
	ahead := asked.Add(half).Sub(reported)
	f, off := ClockFinding("this machine", address, ahead, half)
	if !off {
		f = Finding{Severity: OK, Text: "the clocks of this machine and " + address + " agree"}
	}
	f.Check = "clock"
	return f
}
