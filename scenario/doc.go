// Package scenario runs text files that describe what happens to a fleet and what drover does about it. Engine, fold,
// rules and tables are the real ones. The log is in memory, and only the file moves the clock.
//
// # A file
//
// A file is a sequence of blocks, run from top to bottom. A blank line ends a block. Lines that begin with # between
// blocks are comments; the first comment states what the file shows. A block consists of a keyword with its options,
// input lines if the keyword takes any, a line with ----, and the expected output. If the output of a block differs,
// `drover test` shows both. To write a new file, leave out the ---- lines and run `drover test --update`: that fills in
// the output, which you then check. An expect, include or positions block is a single line without output, and no blank
// line needs to follow it.
//
//	# A machine that joins gets the release of its environment.
//
//	report
//	09:00:05 web-01 joins
//	----
//	ok #9..#10
//
//	tick 09:00:15
//	----
//	read     #9..#10
//	balance  web-01  +2  deployable
//	deploy   web-01  behind
//	append   #11 DeploymentQueued shop 1.4.3 → production: web-01 (d2)
//
// In this example, the agent of web-01 joins, which appends the events 9 and 10. The tick reads them: two positive
// events for web-01, which is deployable. Its verdict is deploy, because it is behind. The tick appends event 11.
//
// # Time
//
// A time is HH:MM:SS, counted from midnight of 2026-01-01; 26:00:00 is two o'clock on the next day. Times must not
// decrease. While time passes, every agent that is online and not silent sends heartbeats, and every running server
// renews its lease. Nothing else happens without a block; ticks are blocks too. The times of a file are correct, but a
// server's wall clock can differ from them (see clock).
//
// # Names
//
// Input and output use names instead of ids. #12 is the event at position 12. d1 is the deployment that was queued
// first. web-01/disk1 is the first instance of a machine, and web-01/session2 its second session. The first server is
// called a. Another server starts when a block names it for the first time, for example with server=b.
//
// After `positions by=time`, the output names events and deployments by their time: #09:00:05 is the first event of that
// second, #09:00:05+1 the next one, and d09:00:05 the first deployment that was queued in it. A line that is added at
// another time then changes no name. Input can use both kinds of names anywhere. The selection applies to the file that
// contains the block, not to the files that it includes.
//
// web-[01-50] and web-[01..50] stand for fifty machines, and rack[1-2]-web[1,4-6] for eight. The first number of a range
// sets the number of digits. Ranges are allowed wherever a line names machines. ok #9..#12 then joins the events of all
// machines, and other lines begin with the machine.
//
// # Expected output
//
// A line that consists of … stands for any number of lines, including none. Within a line, … stands for any text. `drover test
// --update` keeps such lines if they match. It writes neither expectations nor included files.
//
// # Files
//
// A file can name others: apply -f reads the YAML files that a user ships, and include reads set-up that several
// scenarios share. Paths are relative to the folder of the file that contains them, and never absolute. A block of an
// included file can omit its output; it then fails only if one of its lines is rejected.
//
// # Blocks
//
//	apply [HH:MM:SS]         applies YAML documents like `drover apply`; the documents must not contain blank lines.
//	                         apply -f FILE applies a file, or the *.yaml and *.yml files of a folder; repeatable
//	include FILE             runs the blocks of another file
//	expect MACHINE… WHAT…    fails unless each machine is as expected (see below); a machine can be a range or a
//	                         pattern such as web-*
//	do                       runs commands, one on each line: HH:MM:SS and a command of the command line: release
//	                         create|retire|restore, deploy, rollback, retry, cancel, pin, unpin, hold, unhold,
//	                         machine|project|trigger enable|disable, machine reimage, delete, log clear, log
//	                         accept-restore; also again, which sends the previous command again with the same id
//	report                   agents act, one on each line: HH:MM:SS, the machine, and a keyword (see below)
//	events                   appends events as another server would, one on each line: HH:MM:SS, the event's name and the
//	                         machine; PartClaimed and PartEnded also name the deployment. Raw STREAM TYPE JSON appends
//	                         any event; names such as "#12" or "d1" in it, and d1 in part/d1/web-01, stand for ids
//	tick HH:MM:SS            runs one tick; servers=(a,b) runs two at the same time: both read, both decide, both append
//	ticks until=HH:MM:SS     runs a tick every 15 seconds (or every=1m) and prints changed verdicts and appended events
//	view fleet               prints the table of `drover get machines`; also view deployments, view candidates,
//	                         view deployments d1 for the parts of one deployment, and view parts d1 for its parts with
//	                         their steps and causes
//	why MACHINE [PROJECT]    prints the output of `drover why`; at=#12 or at=09:00:30 refers to the past
//	crash after=decide       the server crashes in its next tick after this step (read, decide or append), and restarts
//	                         from the log
//	pause after=decide       the server pauses in its next tick after this step; after decide, the tick prints what it
//	                         is about to write
//	resume [HH:MM:SS]        a paused tick continues
//	kill HH:MM:SS            a server ends, and its agents lose their connection
//	start HH:MM:SS           a killed server starts from the log, and its agents reconnect; rules=2 starts a version of
//	                         drover with newer rules
//	backup                   makes a backup of the log
//	restore HH:MM:SS         replaces the log with the backup, also for running servers; use kill and start around it to
//	                         stop servers during the restore
//	import HH:MM:SS          exports the log and replaces it with a new log that imported the archive
//	stop HH:MM:SS            freezes the process of a server: it receives nothing and does not renew its lease
//	wake HH:MM:SS            a frozen process continues where it was, possibly within a tick, and restarts its timeouts
//	clock HH:MM:SS by=10m    sets the error of a server's wall clock: by=-90s is slow, by=0s is correct; stands stops it.
//	                         The clocks of agents are correct. Servers compare their clocks with them, see package clocks
//	react HH:MM:SS           runs the reaction of a server, which it otherwise runs every second: it appends consequences
//	                         and ends sessions without heartbeats
//	replay                   folds the log again with several page sizes and compares the views
//	log [from=#12]           prints the events; stream=project/shop selects those of one stream
//	positions by=time        names events and deployments by their time in the output; by=count is the default
//
// All blocks except backup, restore, import, replay, log, expect, include and positions take server=NAME. After each line of do and report, the
// server reacts at once, for example by releasing parts or ending deployments, unless the block has reacts=no. These
// events are printed with the prefix "then". After an events block, servers react with the next tick or report.
//
// # Keywords of report
//
//	joins          registers the machine and connects: --environment E --role R --policy P --ephemeral; the environment
//	               can be omitted if there is only one. The flags count only if the machine is new. With
//	               --token-policy P, a new machine joins with the join token that gives policy P
//	online         starts a new session
//	offline        ends the session gracefully
//	deletes-itself  ends the session and asks to delete the machine, which only an ephemeral machine may do
//	silent         sends no heartbeats until heartbeat
//	heartbeat      sends heartbeats again
//	reconnects     connects again with the same session, possibly to another server
//	healthy, warning, unhealthy    reports the result of the health check; further words are the detail
//	reports        reports a problem of the machine: reports disk-full, journal-not-writable, data-folder-missing or
//	               leftovers; further words are the detail. reports nothing: the problem has ended
//	claims         claims the offered part, or that of a deployment: claims d1
//	succeeds       reports that the running part succeeded
//	fails          reports that the running part failed: fails --step install --exit 1; --step 2 is the second step
//	killed         stops the running part, as the server asks after cancel --kill, and reports that: killed d1 --step 2
//	re-imaged      gets a new disk: another instance, which still has to come online. It may take the name of the
//	               machine, as with a join token that is bound to that name
//	newcomer       is replaced by another host: another instance, which still has to join. It may take the name of the
//	               machine only after machine reimage
//	cloned         a copy of the disk connects as a second session
//	disk-saved     makes a copy of the disk
//	disk-restored  replaces the disk with its copy; the agent has ended and still has to come online
//
// # Expectations
//
//	shop=1.0              the machine has release 1.0 of project shop; shop=none: no release; shop=1.0(dirty): a later
//	                      attempt failed
//	shop/wanted=1.0       the machine should have release 1.0; shop/wanted=none
//	shop/verdict=wait     the verdict of `drover why`: deploy, wait or none
//	shop/reason=held      the reason of the verdict
//	online, offline, enabled, disabled, missing    the state of the machine; missing: it does not exist
//
// # Output
//
//	ok #9..#10                the events that a line appended; ok unchanged if there were none
//	rejected: …               why the command was rejected
//	unheard: …                the report did not reach a server
//	void #12: …               the claim does not count, and why
//	then #13 …                an event that the reaction of the server appended
//	read     #9..#10          the events that the tick read
//	balance  web-01  +2 …     positive and negative events of a machine in the batch
//	wait, none, deploy        the verdict for a machine, with its reason
//	append   #11 …            an event that the tick appended
//	write    …                an event that a paused tick is about to write; if no expected line of a block begins with
//	                          write, these lines are not compared
//
// # What it promises
//
// A file gives the same output each time. A mistake in a file is an *Error that names the file and the line, describes
// the problem and shows the correct form. MaxBytes, MaxBlocks and MaxTicks bound the size of a file, MaxIncludeDepth and
// MaxIncludes what it includes, and MaxRange and MaxMachineLines its ranges. A text that was not read from a file
// (Options.Folder) cannot name other files, and no file can name a device, a pipe or an absolute path.
//
//	parse.go     blocks, words and limits
//	runner.go    the state of one run: log, clock, servers and agents; the table of blocks
//	include.go   files that a file names    apply.go    apply
//	match.go     wildcards                  diff.go     differences and updates
//	expect.go    expectations               machines.go ranges of machines
//	do.go        commands                   verbs.go    the table of commands
//	report.go    the table of report        agent.go    what agents do
//	events.go    events from other servers  backup.go   backup, restore and import
//	disk.go      copies of a machine's disk
//	tick.go      ticks                      faults.go   crash, pause, kill, stop, clock
//	ask.go       why and view               show.go     log and replay
//	parts.go     steps and causes           positions.go  names by time
//	names.go     names for ids              clock.go    times and clocks
package scenario
