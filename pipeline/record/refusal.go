package record

import "fmt"

// Refusal is why a message or record is refused. It is kept with the message.
type Refusal struct {
	// Reason is a word or two for metrics, such as bad_json: one of few, in lower
	// case, words joined by underscores.
	Reason string
	// Detail is for people: what was wrong and where.
	Detail string
}

func (r *Refusal) Error() string { return r.Reason + ": " + r.Detail }

// Refuse returns a *Refusal as an error.
func Refuse(reason, format string, args ...any) error {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
