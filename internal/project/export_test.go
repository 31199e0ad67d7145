package project

import "github.com/fsnotify/fsnotify"

// Settings reads a .env as far as Compose's own settings go.
func Settings(content []byte) (files []string, name string) {
	s, _ := readSettings(content)
	return s.Files, s.Name
}

// Concerns says whether a change would be looked at.
func (s *Service) Concerns(name string, op fsnotify.Op) bool {
	return (&watch{s: s}).concerns(fsnotify.Event{Name: name, Op: op})
}

// Watches says whether changes are told.
func (s *Service) Watches() bool { return s.watching.Load() }
