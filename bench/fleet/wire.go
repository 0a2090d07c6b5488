package fleet

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/droverhq/drover/api/client"
	"github.com/droverhq/drover/api/client/handshake"
)

// Opcodes and flags of WebSocket frames.
const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xA
	final   = 0x80
	masked  = 0x80
)

// readBuffer is small, because messages to an agent are small and there are many agents.
const readBuffer = 1 << 10

// writeWithin limits the time to send one message.
const writeWithin = 30 * time.Second

// wire is the client side of a WebSocket as far as an agent needs it. One goroutine receives; any goroutine may
// send.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
	text []byte // of the last received message

	sending sync.Mutex
}

// open connects and upgrades. secure is nil for plain connections. from is the local address, nil for any. start adds
// headers to the request; open returns those of the answer.
func open(ctx context.Context, address string, secure *tls.Config, from net.Addr,
	start func(handshake.Connection, http.Header)) (*wire, http.Header, error) {
	dialer := net.Dialer{LocalAddr: from, KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	w := &wire{conn: conn}
	on := handshake.Connection{Address: conn.RemoteAddr().String(), Client: conn.LocalAddr().String()}
	if secure != nil {
		encrypted := tls.Client(conn, secure)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, nil, err
		}
		state := encrypted.ConnectionState()
		w.conn, on = encrypted, handshake.Connection{TLS: &state}
	}
	w.in = bufio.NewReaderSize(w.conn, readBuffer)
	header := http.Header{}
	start(on, header)
	answer, err := w.upgrade(address, header)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return w, answer, nil
}

func (w *wire) upgrade(address string, header http.Header) (http.Header, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ZHJvdmVyIG1lYXN1cmVzIQ==\r\n", client.AgentPath, address)
	if err := header.Write(&text); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w.conn, text.String()+"\r\n"); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.New("the server answered " + answer.Status)
	}
	return answer.Header, nil
}

// frame encodes a message. Its mask is zero, so that masking costs nothing.
func frame(opcode byte, text []byte) []byte {
	out := []byte{final | opcode}
	switch n := len(text); {
	case n < 126:
		out = append(out, masked|byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, masked|126), uint16(n))
	default:
		out = binary.BigEndian.AppendUint64(append(out, masked|127), uint64(n))
	}
	return append(append(out, 0, 0, 0, 0), text...)
}

func (w *wire) send(frame []byte) error {
	w.sending.Lock()
	defer w.sending.Unlock()
	_ = w.conn.SetWriteDeadline(time.Now().Add(writeWithin))
	_, err := w.conn.Write(frame)
	return err
}

// receive returns the next text message, which is valid until the next call. It answers pings.
func (w *wire) receive() ([]byte, error) {
	for {
		opcode, err := w.receiveFrame()
		switch {
		case err != nil:
			return nil, err
		case opcode == opText:
			return w.text, nil
		case opcode == opClose:
			return nil, fmt.Errorf("the server closed the connection: %.100q", w.text[min(2, len(w.text)):])
		case opcode == opPing:
			if err := w.send(frame(opPong, w.text)); err != nil {
				return nil, err
			}
		}
	}
}

func (w *wire) receiveFrame() (opcode byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(w.in, head[:2]); err != nil {
		return 0, err
	}
	if head[0]&final == 0 || head[1]&masked != 0 {
		return 0, errors.New("unsupported frame: fragmented or masked")
	}
	opcode = head[0] & 0xF
	length := uint64(head[1])
	switch length {
	case 126:
		_, err = io.ReadFull(w.in, head[:2])
		length = uint64(binary.BigEndian.Uint16(head[:2]))
	case 127:
		_, err = io.ReadFull(w.in, head[:8])
		length = binary.BigEndian.Uint64(head[:8])
	}
	if err != nil || length > client.MaxMessageBytes {
		return 0, errors.Join(err, fmt.Errorf("a frame of %d bytes", length))
	}
	if w.text = w.text[:0]; uint64(cap(w.text)) < length {
		w.text = make([]byte, 0, length)
	}
	w.text = w.text[:length]
	_, err = io.ReadFull(w.in, w.text)
	return opcode, err
}

// close closes the connection without a closing handshake.
func (w *wire) close() { _ = w.conn.Close() }
