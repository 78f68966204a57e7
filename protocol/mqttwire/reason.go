package mqttwire

import "fmt"

// Reason is a reason code of MQTT 5 (section 2.4); from 0x80 on it tells of a
// failure.
type Reason byte

// The reason codes that are sent or looked at.
const (
	Success              Reason = 0x00
	DisconnectWithWill   Reason = 0x04
	NoMatchingSubscriber Reason = 0x10
	NoSubscription       Reason = 0x11
	UnspecifiedError     Reason = 0x80
	MalformedPacket      Reason = 0x81
	ProtocolError        Reason = 0x82
	UnsupportedVersion   Reason = 0x84
	InvalidClientID      Reason = 0x85
	BadUserOrPassword    Reason = 0x86
	NotAuthorized        Reason = 0x87
	ServerUnavailable    Reason = 0x88
	ServerBusy           Reason = 0x89
	ServerShuttingDown   Reason = 0x8B
	BadAuthMethod        Reason = 0x8C
	KeepAliveTimeout     Reason = 0x8D
	SessionTakenOver     Reason = 0x8E
	InvalidFilter        Reason = 0x8F
	InvalidTopic         Reason = 0x90
	PacketIDInUse        Reason = 0x91
	PacketIDNotFound     Reason = 0x92
	ReceiveMaxExceeded   Reason = 0x93
	InvalidTopicAlias    Reason = 0x94
	PacketTooLarge       Reason = 0x95
	QuotaExceeded        Reason = 0x97
	AdministrativeAction Reason = 0x98
	BadPayloadFormat     Reason = 0x99
)

// Failed reports whether it tells of a failure.
func (r Reason) Failed() bool { return r >= 0x80 }

func (r Reason) String() string {
	switch r {
	case Success:
		return "success"
	case DisconnectWithWill:
		return "disconnected with will"
	case NoMatchingSubscriber:
		return "no matching subscriber"
	case NoSubscription:
		return "no subscription"
	case UnspecifiedError:
		return "unspecified error"
	case MalformedPacket:
		return "malformed packet"
	case ProtocolError:
		return "protocol error"
	case UnsupportedVersion:
		return "unsupported protocol version"
	case InvalidClientID:
		return "invalid client id"
	case BadUserOrPassword:
		return "bad user name or password"
	case NotAuthorized:
		return "not authorized"
	case ServerUnavailable:
		return "server unavailable"
	case ServerBusy:
		return "server busy"
	case ServerShuttingDown:
		return "server shutting down"
	case BadAuthMethod:
		return "bad authentication method"
	case KeepAliveTimeout:
		return "keep alive timeout"
	case SessionTakenOver:
		return "session taken over"
	case InvalidFilter:
		return "invalid topic filter"
	case InvalidTopic:
		return "invalid topic"
	case PacketIDInUse:
		return "packet identifier in use"
	case PacketIDNotFound:
		return "packet identifier not found"
	case ReceiveMaxExceeded:
		return "receive maximum exceeded"
	case InvalidTopicAlias:
		return "invalid topic alias"
	case PacketTooLarge:
		return "packet too large"
	case QuotaExceeded:
		return "quota exceeded"
	case AdministrativeAction:
		return "administrative action"
	case BadPayloadFormat:
		return "payload format invalid"
	}
	return fmt.Sprintf("reason %#02x", byte(r))
}

// v311 is the return code of CONNACK in MQTT 3.1.1 (section 3.2.2.3) that comes
// nearest.
func (r Reason) v311() byte {
	switch r {
	case Success:
		return 0
	case UnsupportedVersion:
		return 1
	case InvalidClientID:
		return 2
	case BadUserOrPassword:
		return 4
	case NotAuthorized:
		return 5
	}
	return 3
}

// fromV311 is the reason that a return code of MQTT 3.1.1 stands for.
func fromV311(code byte) Reason {
	switch code {
	case 0:
		return Success
	case 1:
		return UnsupportedVersion
	case 2:
		return InvalidClientID
	case 3:
		return ServerUnavailable
	case 4:
		return BadUserOrPassword
	case 5:
		return NotAuthorized
	}
	return UnspecifiedError
}
