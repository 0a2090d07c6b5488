// Package output processes a part's output before it leaves the machine: it masks secrets, bounds the size, and stores
// the output until a server has confirmed the part's end.
//
//	step ──bytes──▶ Mask ──▶ Spool ──chunks──▶ connection
//
// It guarantees that
//
//   - the value of a secret is never passed on, even if a step writes it in several pieces;
//   - a step can print any amount of output, but memory and disk use are bounded, and a lost connection never slows the
//     step down;
//   - chunk n of a part always has the same bytes, so that sending it twice is harmless.
//
// If a part prints more than its limit, the first half of the limit is sent as it arrives. The last half is sent when
// the part has ended, after a line that reports how much was cut. If the disk is full, chunks are stored in memory
// within the same limit. A crash of the agent loses only the chunks in memory and the last half.
//
// Apart from secrets, output is passed on byte for byte; it does not have to be text.
package output
