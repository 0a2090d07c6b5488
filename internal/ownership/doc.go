// Package ownership checks whether other users of a machine can change a data folder. Servers and agents refuse a folder
// in which somebody else could replace what they write, delete or run.
package ownership
