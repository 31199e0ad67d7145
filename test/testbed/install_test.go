package testbed

import (
	"os"
	"path/filepath"
	"testing"
)

func TestServicesAreForbiddenForTheInstallationOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy-rc.d")
	for _, before := range []string{"", "#!/bin/sh\nexit 0\n", policyText} {
		if before != "" {
			if err := os.WriteFile(path, []byte(before), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		allow := Must(forbidServices(path))(t)
		during, _ := os.ReadFile(path)
		allow()
		after, _ := os.ReadFile(path)
		switch before {
		case "", policyText: // nobody's, or one that a killed run left
			if string(during) != policyText || after != nil {
				t.Errorf("before %q: %q during, %q after, want ours and none", before, during, after)
			}
		default:
			if string(during) != before || string(after) != before {
				t.Errorf("before %q: %q during, %q after, want it untouched", before, during, after)
			}
		}
	}
}

func TestRepositoryOf(t *testing.T) {
	for ref, want := range map[string]string{
		"127.0.0.1:5000/shop/web:1.27":       "127.0.0.1:5000/shop/web",
		"127.0.0.1:5000/shop/web":            "127.0.0.1:5000/shop/web",
		"127.0.0.1:5000/shop/web@sha256:abc": "127.0.0.1:5000/shop/web",
		"127.0.0.1:5000/web:1.27@sha256:abc": "127.0.0.1:5000/web",
		"web:1":                              "web",
	} {
		if got := repositoryOf(ref); got != want {
			t.Errorf("%s: %s, want %s", ref, got, want)
		}
	}
}
