// Package accesslog writes the access log of a server: one line of JSON for each denied request, export, backup, and
// creation, revocation and first hourly use of a token.
//
//	log.go   Log: the rate limit, the queue, the count of lines that were not written
//	file.go  file: the file and its rotation
//	line.go  the bounds of a line
//
// The log is a file in the data folder, or the server's own log if there is no such folder. It is bounded in every
// respect: the length of a line, the number of lines per second, the size of a file and the number of files. If the
// disk is full, slow or not writable, requests are served as before: lines are dropped and counted, and the server logs
// one warning.
//
// A request only queues its line. One goroutine writes the lines, so no request waits for the disk.
package accesslog
