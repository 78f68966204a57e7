package udp

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"
)

// controlBytes has room for the one control message that is asked for.
const controlBytes = 64

// countOverflow asks the system to tell with each packet how many it dropped
// before it (SO_RXQ_OVFL, socket(7)). Where it does not, none are counted.
func countOverflow(conn *net.UDPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
	})
}

// overflow returns how many packets the system says it dropped since the socket
// was opened. Packets before the first drop do not say.
func overflow(control []byte) (dropped uint64, ok bool) {
	if len(control) == 0 {
		return 0, false
	}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0, false
	}
	for i := range messages {
		m := &messages[i]
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_RXQ_OVFL && len(m.Data) >= 4 {
			return uint64(binary.NativeEndian.Uint32(m.Data)), true
		}
	}
	return 0, false
}
