package scanner

// Live is the latest result and what goes on around it.
type Live struct {
	Result

	Scan      Scanning
	Reachable bool // the engine answers, and has been listed since it was away
	Returns   int  // how often it has become so
	Listings  int  // how often the containers have been judged anew
}

// Scanning is how far a scan is.
type Scanning struct {
	Running bool `json:"running"`
	Done    int  `json:"done"`  // references that registries have answered for
	Total   int  `json:"total"` // … of those to be asked
}

// Live gives what is now, and a channel that is closed as soon as that changes.
func (s *Scanner) Live() (now Live, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Live{Result: s.latest, Scan: s.scan, Reachable: s.following && s.listed, Returns: s.returns, Listings: s.listings}, s.changed
}

// tell wakes those who wait for a change. s.mu is held.
func (s *Scanner) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// scanningIs says how far the scan is.
func (s *Scanner) scanningIs(now Scanning) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scan = now
	s.tell()
}
