// Package drain tracks work that outlives a request. When a server stops, it refuses new work and waits for the rest.
package drain
