package scan

import "fmt"

// PlanError says that a plan, although valid by itself, asks for what the
// rows that it met cannot give.
type PlanError struct{ Reason string }

func (e *PlanError) Error() string { return e.Reason }

func planErrorf(format string, args ...any) error {
	return &PlanError{fmt.Sprintf(format, args...)}
}
