package mqttwire

// Disconnect is a DISCONNECT (section 3.14).
type Disconnect struct {
	Reason Reason
	// SessionExpiry is in seconds, valid if HasExpiry.
	SessionExpiry uint32
	HasExpiry     bool
	Text          string // why, for people; "" if it is not told
}

var disconnectProperties = of(SessionExpiry, ReasonString, UserProperty, ServerReference)

// DecodeDisconnect reads a DISCONNECT.
func DecodeDisconnect(body []byte, version byte) (Disconnect, error) {
	r := &reader{b: body}
	var d Disconnect
	if version == V5 && len(r.b) > 0 {
		d.Reason = Reason(r.byte("the reason"))
		if len(r.b) > 0 {
			p := r.properties(DISCONNECT, disconnectProperties)
			if v, ok := p.Get(SessionExpiry); ok {
				d.SessionExpiry, d.HasExpiry = v.Number, true
			}
			if v, ok := p.Get(ReasonString); ok {
				d.Text = string(v.Data)
			}
		}
	}
	return d, r.done()
}

// AppendDisconnect appends d; MQTT 3.1.1 has no reason for it.
func AppendDisconnect(dst []byte, version byte, d *Disconnect) []byte {
	if version != V5 || *d == (Disconnect{}) {
		return append(dst, byte(DISCONNECT)<<4, 0)
	}
	dst, start := open(append(dst, byte(DISCONNECT)<<4))
	var p Properties
	if d.HasExpiry {
		p = AppendNumber(p, SessionExpiry, d.SessionExpiry)
	}
	if d.Text != "" {
		p = AppendData(p, ReasonString, []byte(d.Text))
	}
	dst = appendProperties(append(dst, byte(d.Reason)), p)
	return shut(dst, start)
}

// AppendPing appends a PINGREQ or PINGRESP (sections 3.12 and 3.13).
func AppendPing(dst []byte, t Type) []byte { return append(dst, byte(t)<<4, 0) }
