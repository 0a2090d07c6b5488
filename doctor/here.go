package doctor

import (
	"fmt"
	"io/fs"
	"time"
)

// These findings are about the machine that `drover doctor` runs on, and the connection to the servers. The servers' own
// findings are those of Examine.

// certificateSoon is how long before its end a certificate is a warning.
const certificateSoon = 14 * 24 * time.Hour

// SilentServer is a server that was asked and has not answered as one; others says whether another one has.
func SilentServer(address, sentence, hint string, others bool) Finding {
	f := Finding{Severity: Bad, Check: "server", Seen: sentence, Do: hint}
	if others {
		f.Severity = Warn
	}
	if f.Do == "" {
		f.Do = "curl -s " + shellWord(address) + "/healthz"
	}
	return f
}

// TwoLogs is the finding that two addresses in one client context serve different logs. path is the file that lists them;
// empty: a person named them.
func TwoLogs(one, other, path string) Finding {
	f := Finding{Severity: Bad, Check: "server", Seen: fmt.Sprintf("%s and %s serve two logs, such as one and its copy: a command may go to either", one, other),
		Do: "name one of them alone with --server"}
	if path != "" {
		f.Do = "stop the server that is not meant; if it is " + other + ", then: " + Forget(other, path) + "; else the same with " + one
	}
	return f
}

// Forget is the command that takes a server's address out of the file with a client's contexts.
func Forget(address, path string) string {
	return fmt.Sprintf("(umask 077; jq %s %s > %[3]s && mv %[3]s %[2]s)", shellWord(`.contexts[].servers -= ["`+address+`"]`), shellWord(path), shellWord(path+".new"))
}

// AnsweringServer is one that has answered.
func AnsweringServer(address, version string, took time.Duration) Finding {
	return Finding{Severity: Fine, Check: "server", Seen: fmt.Sprintf("%s answers within %s, version %s", address, took.Round(time.Millisecond), version)}
}

// CertificateFinding judges a server's certificate by its end.
func CertificateFinding(address string, end, now time.Time) Finding {
	left := end.Sub(now)
	f := Finding{Severity: Fine, Check: "tls", Seen: fmt.Sprintf("the certificate of %s is good for another %s", address, span(left))}
	switch {
	case left <= 0:
		f.Severity, f.Seen = Bad, fmt.Sprintf("the certificate of %s has expired on %s", address, end.UTC().Format(time.DateOnly))
	case left < certificateSoon:
		f.Severity = Warn
	default:
		return f
	}
	f.Do = "put a new certificate in the place of the server's --tls-cert and --tls-key"
	return f
}

// NoTLS says that traffic to a server is not encrypted. On loopback it does not have to be.
func NoTLS(address string, loopback bool) Finding {
	if loopback {
		return Finding{Severity: Fine, Check: "tls", Seen: address + " is on this machine and needs no TLS"}
	}
	return Finding{Severity: Warn, Check: "tls", Seen: "all that goes to " + address + ", tokens too, can be read on the way",
		Do: "drover server --tls-cert cert.pem --tls-key key.pem (and --server https://… here)"}
}

// SecretFile judges who may read a file with secrets; what says what is in it.
func SecretFile(path, what string, mode fs.FileMode) Finding {
	f := Finding{Severity: Fine, Check: "files", Seen: fmt.Sprintf("%s, with %s, is its owner's alone", path, what)}
	if others := mode.Perm() & 0o077; others != 0 {
		f.Severity = Bad
		f.Seen = fmt.Sprintf("%s, with %s, is open to other users of this machine (mode %04o)", path, what, mode.Perm())
		f.Do = "chmod 600 " + shellWord(path)
	}
	return f
}

// Unreadable is a file that is there and cannot be used.
func Unreadable(sentence, do string) Finding {
	return Finding{Severity: Bad, Check: "files", Seen: sentence, Do: do}
}

// NoContext says that this user has no token for any log.
func NoContext(path string) Finding {
	return Finding{Severity: Warn, Check: "files", Seen: "this user has no client context (" + path + "), so no token is known",
		Do: "drover server (once, as this user), or set DROVER_TOKEN and DROVER_SERVER"}
}

// HereDisk judges the disk of a folder of this machine.
func HereDisk(folder string, free, total uint64) []Finding {
	found := DiskFindings(folder, free, total)
	if len(found) == 0 {
		found = []Finding{{Severity: Fine, Seen: fmt.Sprintf("%s of %s are free in %s", bytes(free), bytes(total), folder)}}
	}
	for i := range found {
		found[i].Check = "disk"
	}
	return found
}

// HereClock compares this machine's clock with that of a server: asked and answered are by this clock, told by the other.
func HereClock(address string, asked, answered, told time.Time) Finding {
	give := answered.Sub(asked) / 2
	ahead := asked.Add(give).Sub(told)
	f, off := ClockFinding("this machine", address, ahead, give)
	if !off {
		f = Finding{Severity: Fine, Seen: "the clocks of this machine and of " + address + " agree"}
	}
	f.Check = "clock"
	return f
}
