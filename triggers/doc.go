// Package triggers decides what to deploy. Events open candidates, which package projections folds. This package gives
// one verdict per project to each machine that has candidates, or that the sweep found to be behind:
//
//	wait    the candidate stays open, and nothing is written to the log
//	none    the machine needs nothing; the fold has closed the candidate or never opened one
//	deploy  the machine joins this tick's automatic deployment of (project, environment, release)
//
// # What it decides
//
// The verdict is the first row that applies in one ordered table. Each row names its reason, and the law that made it
// necessary. `drover why` evaluates the same table, so people see exactly what was decided. Plan turns the deploy
// verdicts into automatic deployments.
//
// # What it relies on
//
// Every function is pure. It decides from the view and from how long ago the view's events were folded.
//
// # What it promises
//
// A verdict depends on the state at the end of a batch, and never on how the log was divided into pages or batches. The
// balance of positive and negative events in a Batch is only shown to people.
//
// # Files
//
//	rules.go   the table of rules, and the conditions of its rows
//	decide.go  verdicts for all machines, and the deployments that follow from them
//	batch.go   the events since the last tick, summarized for people
package triggers
