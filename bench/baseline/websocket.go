package baseline

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/coder/websocket"

	"github.com/droverhq/drover/api/client"
)

// ServeWebSocket serves agents' connections with the least possible work, using the libraries that drover uses: a
// connection, its upgrade, one message each way, and the close. It prints its address and serves until its standard
// input ends.
func ServeWebSocket(in io.Reader, out io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	fmt.Fprintln(out, listener.Addr())
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+client.AgentPath, func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
		if err == nil {
			go serveConnection(conn)
		}
	})
	go func() { _ = http.Serve(listener, mux) }() //nolint:gosec // listens on loopback during a measurement only
	_, err = io.Copy(io.Discard, in)
	return err
}

// serveConnection answers the first message of an agent and closes the connection after the second.
func serveConnection(conn *websocket.Conn) {
	defer conn.CloseNow()
	ctx := context.Background()
	if _, _, err := conn.Read(ctx); err != nil {
		return
	}
	if err := conn.Write(ctx, websocket.MessageText, []byte(`{"welcome":{}}`)); err != nil {
		return
	}
	if _, _, err := conn.Read(ctx); err == nil {
		_ = conn.Close(websocket.StatusNormalClosure, "")
	}
}
