// Package journal is what an agent writes down in its data folder so that a crash at any
// moment loses nothing and runs nothing twice.
//
//	DATA/agent.lock              held by the one agent that uses the folder
//	DATA/identity.json           instance and secret, made before the first join
//	DATA/memory.json             what the agent remembers of the log
//	DATA/journal/DEPLOYMENT.json one entry for each part that has no confirmed end
//	DATA/parts/DEPLOYMENT/       the part's scripts, working folder and output
//	DATA/secrets.env             written by people, read by the steps
//
// An entry goes through these states, and each is on the disk before what it announces
// is done:
//
//	        before the claim     before the first step      before the report
//	(none) ────▶ claiming ────────────▶ running ─────────────────▶ ended
//	                │ the claim                                      │ the end is confirmed
//	                ▼ does not count                                 ▼
//	              (none)                                           (none)
//
// What a crash leaves behind says what to do: of a claiming entry the server is asked, of
// a running one nobody can know how far it came (it ends failed, interrupted), an ended
// one is reported until it is confirmed.
//
// Files are replaced as a whole (write, fsync, rename, fsync of the folder). Names of files
// are made of a deployment's id only if it consists of letters, digits, "-" and "_". What
// cannot be read, or was written by a newer drover, is an error: an agent that does not
// know what it ran must not run anything.
package journal
