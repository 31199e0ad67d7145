package config_test

import (
	"testing"

	"github.com/watch-docker/watch-docker/internal/config"
)

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := config.Load(options(example)); err != nil {
			b.Fatal(err)
		}
	}
}
