package audit

// Remembered is how many tallies of failures are kept.
func (l *Log) Remembered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.failures)
}
