// Package serverkey defines the key by which the servers of one log prove themselves to clients and agents: an Ed25519
// key pair. The log contains both halves, so that every server of the log has the key. Clients and agents pin the public
// half.
//
// The public half is written as text that people compare and copy:
//
//	dsk_ + base32(key, first 3 bytes of its SHA-256 sum)
//
// The text has 60 characters: letters in lower case, and the digits 2 to 7. The three bytes detect a typing error or a
// truncated copy.
//
// A signature covers a purpose and a list of parts, each with its length. A signature for one purpose is therefore
// invalid for another, and bytes cannot move from one part to the next.
package serverkey
