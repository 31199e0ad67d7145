package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// What the README says the first command does.
func TestTheDemoJudgesEveryContainerRightlyAndEndsByItself(t *testing.T) {
	dir := t.TempDir()
	program, demo := filepath.Join(dir, "watch-docker"), filepath.Join(dir, "demo")
	for target, pkg := range map[string]string{program: "../../cmd/watch-docker", demo: "."} {
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", target, pkg).CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", pkg, err, out)
		}
	}
	out, err := exec.CommandContext(t.Context(), demo, "-program", program).CombinedOutput()
	if err != nil {
		t.Fatalf("the demo fails: %v\n%s", err, out)
	}
	for _, line := range []string{
		`blog +\S+/site/blog:latest +up to date +\S+ +The registry has nothing newer\.`,
		`shop +\S+/site/shop:stable +update +\S+ +\S+ is now sha256:`,
		`database +\S+/site/database@sha256:[0-9a-f]{12} +skipped +\S+ +Its image is pinned to a digest\.`,
		`legacy +\S+/site/legacy:latest +skipped +\S+ +The label watchdocker.skip=true`,
		`partner +\S+/partner/feed:latest +error +\S+ +\S+ denies access`,
		`proxy +\S+/site/proxy:2 +up to date +\S+ +The tag has moved, but its image for linux/amd64`,
		`7 containers: 2 can be updated, 1 could not be checked, 2 up to date, 2 skipped`,
		`shop +updated +[0-9a-f]{12} +[0-9a-f]{12} +\d+\.\d s`,
		`mail +rolled back +[0-9a-f]{12} +[0-9a-f]{12} .*ended with exit code 1`,
		`fatal: /etc/mail/tls.pem is missing`,
		`shop +\S+/site/shop:stable +up to date`,
		`Taking everything down again`,
	} {
		if !regexp.MustCompile(line).Match(out) {
			t.Errorf("no line %q", line)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}
