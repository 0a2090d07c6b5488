// Package output is what becomes of a part's output before it leaves the machine: it is
// masked, bounded and kept until a server has confirmed the part's end.
//
//	step ──bytes──▶ Mask ──▶ Spool ──chunks──▶ connection
//
// It promises that the value of a secret never passes, also when a step writes it in
// pieces; that a step can print any amount at a bounded cost of memory and disk and is
// never slowed by a lost connection; and that chunk n of a part is the same bytes each
// time it is read, so that sending it twice is harmless.
//
// When a part prints more than its limit, the first half is sent as it comes and the
// last half when the part has ended, with a line between them that says how much was cut.
// When the disk is full, chunks are kept in memory instead, within the same limit; a
// crash of the agent loses those and the last half, nothing else.
//
// Bytes pass as they are: output need not be text.
package output
