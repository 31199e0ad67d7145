package composefile_test

import (
	"testing"

	"github.com/watch-docker/watch-docker/internal/composefile"
	"os"
	"encoding/json"
)

func TestScratch(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(dir+"/app/sub", 0o755)
	os.WriteFile(dir+"/app/.env", []byte("TAG=1.2\nPW='a$b'\n"), 0o644)
	os.WriteFile(dir+"/app/sub/more.yaml", []byte("services:\n  more:\n    image: m:${TAG}\n    volumes: ['./d:/d']\n"), 0o644)
	os.WriteFile(dir+"/app/sub/base.yaml", []byte("services:\n  base:\n    image: b:1\n    volumes: ['./e:/e']\n    environment: {P: \"${PW}\"}\n"), 0o644)
	os.WriteFile(dir+"/app/compose.yaml", []byte(`version: "3"
include:
  - sub/more.yaml
services:
  web:
    image: nginx:${TAG}
    extends: {file: sub/base.yaml, service: base}
    ports: ["80:80"]
    depends_on: [more]
    volumes:
      - ./html:/html:ro
      - data:/data
      - /var/run/docker.sock:/x.sock
volumes: {data: {}}
`), 0o644)
	r, err := composefile.Check(t.Context(), composefile.Source{Root: dir, Dir: dir + "/app"})
	b, _ := json.MarshalIndent(r, "", " ")
	t.Logf("%v %s", err, b)
}
