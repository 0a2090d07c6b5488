// Package policies says what becomes of machines: which are offline because they have been silent for too
// long, which absent ones are cleaned up, and which pins and holds have expired.
//
// Everything is a pure function of a view and of what a server has measured itself: silence, its own
// uninterrupted running, the age of other servers' leases. Absence is never measured by one server: it is
// the sum of the spans in the log during which some server watched (WatchPassed), so an outage of drover
// adds nothing to it (law 22). An environment of which too much is absent at once is an outage and not a
// clean-up (law 23).
package policies
