// Package projectionstest builds histories for tests of the packages that decide from a view: projections, policies,
// triggers, rollout and explain.
//
// A test appends facts, and a History folds them. A test needs no engine, log or clock. Facts get consecutive
// positions, revisions and ids, and wall-clock times one second apart, so equal tests build equal histories. Time on
// the monotonic clock passes only in Wait, so that a test can stop exactly at a deadline.
//
// The fold accepts any fact, whether or not a command would produce it. The helpers cover the one environment and the
// one project that most tests need, production and shop. Tests append everything else with Add.
package projectionstest
