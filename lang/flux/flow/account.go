package flow

import "github.com/varvedb/varve/lang/flux/table"

// Account counts the memory that one operator keeps, and gives it back at once.
type Account struct {
	run  *Run
	held int64
}

// Account returns an account of nothing yet.
func (r *Run) Account() Account { return Account{run: r} }

// Add reserves memory. The error names the limit and is for the user.
func (a *Account) Add(bytes int64) error {
	if err := a.run.Reserve(bytes); err != nil {
		return err
	}
	a.held += bytes
	return nil
}

// Keep reserves what a table takes.
func (a *Account) Keep(t *table.Table) error { return a.Add(t.Memory()) }

// Clear gives everything back.
func (a *Account) Clear() {
	a.run.Release(a.held)
	a.held = 0
}

// Sub gives some of it back.
func (a *Account) Sub(bytes int64) {
	a.run.Release(bytes)
	a.held -= bytes
}
