// Package clienttest has test doubles of servers that clients of package client accept.
package clienttest
