package composefile_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/composefile"
)

func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		web, "include: [a.yaml]\n", "services: {a: {extends: {file: a.yaml, service: b}}}", "x: &a [*a]\n", "services: {a: {image: '${A:?x}', ports: ['1-9:1-9']}}",
		"services:\n  a: !reset null\n  b: !override {image: x}\n", "a: &a {<<: *a}\n", "---\n---\nservices: []\n", "networks: {a: {external: {name: b}}}\nvolumes: {v: {driver: local, driver_opts: {o: bind, device: ./x}}}\n",
		"services: {a: {build: {context: ., ssh: [default]}, develop: {watch: [{path: .}]}, gpus: all, healthcheck: {test: x}, secrets: [s]}}\nsecrets: {s: {environment: S}}\n",
	} {
		f.Add([]byte(s), []byte("A=1\nB='2'\n"))
	}
	root := f.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.yaml"), []byte("services: {b: {image: '${A}'}}"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, file, env []byte) {
		r, err := composefile.Check(t.Context(), composefile.Source{
			Root: root, Dir: root, Name: "app", Files: []string{"compose.yaml"}, Replace: map[string][]byte{"compose.yaml": file, ".env": env},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Problems {
			if p.Code == "" || p.Message == "" {
				t.Errorf("%+v", p)
			}
			if strings.HasPrefix(p.Message, "The files can't be understood") {
				t.Errorf("it gave up: %s", p.Message)
			}
		}
	})
}

func FuzzSetImage(f *testing.F) {
	for _, s := range []string{web, "services: {web: {image: \"a\"}}\r\n", "\ufeffservices:\n web:\n  image: 'x' # y\n", "x: &x a\nservices: {web: {image: *x}}", "services:\n  web:\n    ? image\n    : a\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		out, err := composefile.SetImage(file, "web", "shop:2")
		if err != nil {
			return
		}
		// One stretch of the file is another, and reading it back finds it.
		if !bytes.Contains(out, []byte("shop:2")) {
			t.Errorf("%q became %q", file, out)
		}
		if again, err := composefile.SetImage(out, "web", "shop:2"); err != nil || !bytes.Equal(again, out) {
			t.Errorf("%q became %q, then %q, %v", file, out, again, err)
		}
	})
}

func FuzzSetVariable(f *testing.F) {
	f.Add([]byte("A=1\nTAG='x'\n"), "2")
	f.Add([]byte("TAG=\"a\\\"b\" # c\r\n"), "a'b\\")
	f.Fuzz(func(t *testing.T, file []byte, value string) {
		out, err := composefile.SetVariable(file, "TAG", value)
		if err != nil {
			return
		}
		if again, err := composefile.SetVariable(out, "TAG", value); err != nil || !bytes.Equal(again, out) {
			t.Errorf("%q became %q, then %q, %v", file, out, again, err)
		}
	})
}
