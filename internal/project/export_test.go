package project

// Settings reads a .env as far as Compose's own settings go.
func Settings(content []byte) (files []string, name string) {
	s, _ := readSettings(content)
	return s.Files, s.Name
}

// LastScan tells one scan from another.
func (s *Service) LastScan() any { return s.last.Load() }

// Watches says whether changes are told.
func (s *Service) Watches() bool { return s.watching.Load() }
