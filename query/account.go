package query

// account sums up the answers of a question.
type account struct {
	plans   int64
	rows    int64
	bytes   int64   // read from segments
	slowest *Answer // nil: none was closed
	err     error   // the first that there was
}

// settle adds an answer that was closed to the account and the metrics.
func (q *Question) settle(a *Answer) {
	st := a.rows.Stats()
	q.driver.metrics.scanned(&st)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.account.plans++
	q.account.rows += a.returned
	q.account.bytes += st.BytesRead
	if q.account.slowest == nil || a.took > q.account.slowest.took {
		q.account.slowest = a
	}
}
