package project

// LastScan tells one scan from another.
func (s *Service) LastScan() any { return s.last.Load() }

// Watches says whether changes are told.
func (s *Service) Watches() bool { return s.watching.Load() }
