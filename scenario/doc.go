// Package scenario runs text files in which a user says what happens and reads what drover does about it. The
// engine, the fold, the rules and the tables are the real ones; the log is in memory, and the clock is the file's.
//
// # A file
//
// A file is a row of blocks. A blank line ends a block; lines that begin with # between blocks are comments, and
// the first comment says what the file shows. A block is a word with its options, further lines if it takes any,
// ---- alone on a line, and the output that is expected. The file is run from top to bottom; where a block gives
// something else, `drover test` shows both.
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
// # Time
//
// A time is HH:MM:SS on the day on which the file begins, 2026-01-01; 26:00:00 is two o'clock on the day after. Times
// only rise. As time passes, every agent that is online and not silent sends its heartbeats, and every server that
// runs renews its lease. Nothing else happens by itself: ticks are blocks too. Times of a file are the right ones; the wall clock of a server may show another.
//
// # Names
//
// Ids are replaced by names, in what is read and in what is printed: #12 is the event at position 12, d1 the deployment that
// was queued first, web-01/disk1 the first instance of a machine and web-01/session2 its second session. The first
// server is a; another begins to run where it is first named, as server=b.
//
// # Blocks
//
//	apply [HH:MM:SS]         YAML documents without blank lines between them, as `drover apply` takes them
//	do                       a line for each command: HH:MM:SS and a verb as on the command line: release create, deploy, rollback,
//	                         retry, cancel, pin, unpin, hold, unhold, machine|project|trigger enable|disable, delete, log clear,
//	                         log accept-restore; and
//	                         again: the command before is sent once more under its id
//	report                   a line for each report of an agent: HH:MM:SS, the machine, and a word (below)
//	events                   a line for each fact that another server would have written: HH:MM:SS, the event's name, the
//	                         machine; PartClaimed and PartEnded name the deployment too; Raw STREAM TYPE JSON writes anything,
//	                         and "#12" or "d1" in it, and d1 in part/d1/web-01, are the ids that they stand for
//	tick HH:MM:SS            one tick; servers=(a,b) is two at one instant: both read, both decide, both append
//	ticks until=HH:MM:SS     a tick every 15 seconds (every=1m); prints verdicts that are new, and what is appended
//	view fleet               the table of `drover get machines`; also view deployments, view candidates, and
//	                         view deployments d1 for the machines of one
//	why MACHINE [PROJECT]    what `drover why` prints; at=#12 or at=09:00:30 asks about the past
//	crash after=decide       the next tick dies after that step (read, decide or append), and its server is opened again from the log
//	pause after=decide       the next tick stops after that step, until
//	resume [HH:MM:SS]        it goes on
//	kill HH:MM:SS            a server ends; its agents lose their connection
//	start HH:MM:SS           it is opened again from the log; its agents come back to it; rules=2 is a drover with newer rules
//	backup                   keeps the log as it is now
//	restore HH:MM:SS         puts the backup in the place of the log, also under servers that run; kill and start come before and
//	                         after it where they were stopped
//	import HH:MM:SS          exports the log, and puts an empty one in its place that the archive was imported into
//	stop HH:MM:SS            its process stands still: it hears nothing and renews nothing, until
//	wake HH:MM:SS            it goes on where it was, in the middle of a tick too; it counts all silence anew
//	clock HH:MM:SS by=10m    its wall clock is wrong from then on (by=-90s is late, by=0s is right), or stands
//	react HH:MM:SS           a server does what it does each second: what follows, and sessions that are silent
//	replay                   folds the log afresh with its pages cut in several ways: the view must be the same
//	log [from=#12]           the events; stream=project/shop keeps those of one stream
//
// All but replay and log take server=NAME. After each line of do and report the server does at once what follows (parts
// released, deployments ended), unless the block says reacts=no; that is printed as "then". Facts of events wait for the
// next tick or report.
//
// # Words of agents
//
//	joins          registers the machine (--environment E --role R --policy P; the only environment need not be named) and connects
//	online         a new session begins       offline      it says goodbye
//	silent         nothing is heard of it     heartbeat    it is heard of again
//	reconnects     the same session says hello, also on another server
//	healthy, warning, unhealthy               what its health check found
//	claims         it takes the part that it is offered, or that of a deployment: claims d1
//	succeeds, fails                           the part that it runs ended; fails --step install --exit 1
//	re-imaged      its disk is new: another instance, which still has to come online
//	cloned         a copy of its disk says hello as a second session
//
// # What it promises
//
// A file gives the same output each time. A mistake in a file is an *Error that names file and line, says what is
// wrong and what to write instead. MaxBytes, MaxBlocks and MaxTicks bound what a file can ask for.
package scenario
