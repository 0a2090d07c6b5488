// Package triggers says what to deploy. Events have made candidates due (package projections folds them);
// here each machine that has candidates, or that the sweep found behind, gets one verdict per project:
//
//	wait    its time has not come; the candidate stays open, and nothing is written
//	none    nothing is needed; the fold has closed the candidate or never opened one
//	deploy  it joins this tick's automatic deployment of (project, environment, release)
//
// The verdict is the first row that applies of one ordered table (rules.go); each row names its reason,
// and the law or the mishap elsewhere that made it necessary. `drover why` asks the same table, so what
// people are told is what was decided.
//
// Everything is a pure function of the view and of how long ago its events were folded. How the log was
// cut into pages cannot change a verdict: it is taken from the end state, not from the batch. The batch
// is only shown: its signed balance per machine decides nothing.
package triggers
