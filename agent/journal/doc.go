// Package journal stores an agent's state in its data folder, so that a crash at any moment loses no result and runs no
// part twice.
//
//	DATA/agent.lock              locked by the one agent that uses the folder
//	DATA/identity.json           instance and secret, created before the first join
//	DATA/memory.json             what the agent knows about the event log, and the results of its last runs
//	DATA/memory.json.damaged-N   a damaged memory.json, for operators
//	DATA/server.json             what the agent knows about its servers, so that it does not trust others
//	DATA/journal/DEPLOYMENT.json one entry for each part without a confirmed end
//	DATA/parts/DEPLOYMENT/       the part's scripts, working folder and output
//	DATA/secrets.env             written by operators, read by the steps
//
// An entry moves through the states below. The agent writes each state to disk before it takes the action that follows:
//
//	        before the claim     before the first step      before the report
//	(none) ────▶ claiming ────────────▶ running ─────────────────▶ ended
//	                │ the claim                                      │ the end is confirmed
//	                ▼ does not count                                 ▼
//	              (none)                                           (none)
//
// After a crash, the state of an entry determines what the agent does:
//
//	claiming  it asks the server whether the claim counted; the part has not started
//	running   it reports the part as failed (interrupted), because it is unknown how far the part got
//	ended     it reports the end until the server confirms it
//
// Each write replaces a whole file: write to a temporary file, fsync, rename, fsync the folder. A deployment's id is
// used in a file name only if it consists of letters, digits, "-" and "_". An entry or identity that is damaged, or was
// written by a newer drover, is an error: without these records the agent could run a part twice, or become another
// instance, so it must not run anything. The checksum of identity.json covers only its values, so that the file can be
// formatted. Files from before there were checksums stay valid.
//
// Removing the folder of a part follows no link and crosses no mount, because a step may have linked or mounted data of
// others there. It makes read-only folders writable. What remains is an error that names the files; RemoveOrphans and
// the next Open try again. Only folders that are named like deployments are removed.
//
// The memory is different. Without it, only this machine loses the protection against a restored log. With a wrong one,
// the servers could conclude that the log has lost events, and stop all machines. memory.json therefore contains a
// checksum. If it is damaged, or was written by a newer drover, Open renames it to memory.json.damaged-NUMBER, retains
// the last three such files, and continues with an empty memory.
//
//	journal.go     Journal: the data folder, its lock and its entries
//	identity.go    Identity: the instance and its secret
//	memory.go      what the agent knows about the log, and its last runs
//	trust.go       what the agent knows about its servers
//	check.go       whether the journal can be written; a data folder that was deleted is made again
//	file.go        durable JSON files
//	remove*.go     removing the folders of parts
//	checksum.go    files that contain their own checksum
//	quarantine.go  damaged files that are set aside
package journal
