package eventstoredbtest

import (
	"context"
	"encoding/base64"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// user returns the caller's user. A cluster without users allows everything; a cluster with users refuses every
// anonymous call.
func (n *Node) user(ctx context.Context) (User, error) {
	if len(n.cluster.config.Users) == 0 {
		return User{ReadsAll: true, Writes: true}, nil
	}
	incoming, _ := metadata.FromIncomingContext(ctx)
	values := incoming.Get("authorization")
	if len(values) == 0 {
		return User{}, nil
	}
	text, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(values[0], "Basic "))
	name, password, _ := strings.Cut(string(text), ":")
	if user, ok := n.cluster.config.Users[name]; ok && user.Password == password {
		return user, nil
	}
	return User{}, status.Error(codes.Unauthenticated, "Unauthenticated")
}

// denied refuses a call for which the user has no permission.
func denied(ctx context.Context) error {
	_ = grpc.SetTrailer(ctx, metadata.Pairs("exception", "access-denied"))
	return status.Error(codes.PermissionDenied, "Access Denied")
}
