// Package projectionstest builds histories for tests of the packages that decide from a view: projections, policies,
// triggers, rollout and explain.
//
// A test writes facts and a History folds them, so a test states what happened and needs no engine, log or clock.
// Facts get consecutive positions, revisions and ids, and wall-clock times one second apart: equal tests give equal
// histories. Time on the monotonic clock passes only in Wait, so a test can stand exactly on a deadline.
//
// Facts need not be ones that a command would decide: a fold accepts any fact. The helpers know the one environment
// and the one project that most tests need, production and shop. Tests write everything else with Add.
package projectionstest
