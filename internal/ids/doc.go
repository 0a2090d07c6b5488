// Package ids creates values that nobody may guess or repeat: ids of servers and commands, and tokens. It is the source
// of randomness of the programs; domain and the other pure packages have none.
//
// A token has the form ID.SECRET, with 12 hex digits and 43 base64url characters. Verifying a token needs only the
// hash of its secret.
package ids
