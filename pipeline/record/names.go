package record

// TooLarge is the reason for which Names refuses a message.
const TooLarge = "too_large"

const (
	// nameRatio times the bytes of a message, and a little for small ones, is far
	// more than paths of real documents have, and in the order of what the records
	// of a message take anyway.
	nameRatio = 16
	nameBytes = 64 << 10
)

// Names bounds the names that a decoder makes of one message by joining those that
// lie around a value: a long one around thousands of values is copied for each of
// them, and a small message could take all memory.
type Names struct{ room int }

// NamesOf returns the bound of a message of so many bytes.
func NamesOf(message int) Names { return Names{nameBytes + nameRatio*message} }

// Take counts n bytes of names that are about to be made. The error is a *Refusal.
func (b *Names) Take(n int) error {
	if n > b.room {
		return Refuse(TooLarge, "the names of its fields, which are the paths to their values, take more than %d times what the message does: shorten the keys around many values", nameRatio)
	}
	b.room -= n
	return nil
}
