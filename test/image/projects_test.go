package image_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// TestComposeProjects goes through what an administrator does with projects,
// over HTTP: with the program on the host, and with its own image, which sees
// the projects' folder at the host's path.
func TestComposeProjects(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"web", "db"} {
		w.push(name, name, "true")
		w.must(w.bed.Pull(w.Context(), w.bed.Registry(testbed.TLSToken).Ref(name+":latest")))
	}
	for name, start := range map[string]func(*projects){"on the host": (*projects).onHost, "in its image": (*projects).inImage} {
		t.Run(name, func(t *testing.T) {
			p := &projects{world: w.in(t), dir: t.TempDir(), name: "shop-" + strings.Fields(name)[0]}
			p.root = filepath.Join(p.dir, "stacks")
			p.must(errors.Join(os.MkdirAll(p.root, 0o755), os.MkdirAll(filepath.Join(p.dir, "state"), 0o700)))
			start(p)
			p.signIn()
			p.suite()
		})
	}
}

// projects is a running program with a folder of projects.
type projects struct {
	*world
	dir, root, name string
	base, token     string
	http            http.Client
}

func (p *projects) environ() []string {
	env := []string{"STATE_PATH=" + filepath.Join(p.dir, "state"), "APP_PATH=" + p.root, "USER_NAME=ann", "USER_PASSWORD=correct horse",
		"WATCH_UPDATE_STABLE_FOR=1s", "HOME=" + p.dir}
	for _, line := range p.bed.Env() {
		if strings.HasPrefix(line, "WATCH_") {
			env = append(env, line)
		}
	}
	return env
}

func (p *projects) onHost() {
	l := testbed.Must(net.Listen("tcp", "127.0.0.1:0"))(p)
	addr := l.Addr().String()
	p.must(l.Close())
	cmd := exec.CommandContext(context.WithoutCancel(p.Context()), buildProgram(p.T, version))
	own := testbed.Must(p.bed.Engine().ComposeEnv(p.Context()))(p)
	cmd.Env = append(own, append(p.environ(), "WATCH_SERVER_ADDR="+addr, "SSL_CERT_FILE="+p.bed.CAFile())...)
	var log bytes.Buffer
	cmd.Stderr = &log
	p.must(cmd.Start())
	p.Cleanup(func() {
		p.must(errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()))
		if p.Failed() {
			p.Log(log.String())
		}
	})
	p.base = "http://" + addr
}

func (p *projects) inImage() {
	p.run(testbed.ContainerSpec{Env: append(p.environ(), "DOCKER_HOST=unix:///var/run/docker.sock")}, func(h *container.HostConfig) {
		h.Binds = append(h.Binds, p.root+":"+p.root, filepath.Join(p.dir, "state")+":"+filepath.Join(p.dir, "state"), p.bed.CAFile()+":/etc/ssl/certs/testbed.crt:ro")
		h.Tmpfs = map[string]string{"/tmp": ""}
	})
	p.base = "http://127.0.0.1:8080"
	p.http.Transport = &http.Transport{DialContext: p.bed.Engine().DialContext}
}

func (p *projects) signIn() {
	testbed.Eventually(p, 2*time.Minute, func() error {
		var got struct{ Token string }
		status, text, err := p.send("POST", "/api/v1/auth/login", map[string]string{"username": "ann", "password": "correct horse"}, nil, &got)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d %s", status, text)
		}
		p.token = got.Token
		return err
	})
}

func (p *projects) send(method, path string, body any, header map[string]string, out any) (status int, text string, err error) {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return 0, "", err
		}
		content = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(p.Context(), method, p.base+path, content)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+p.token)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := p.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err == nil && out != nil && res.StatusCode < 300 {
		err = json.Unmarshal(raw, out)
	}
	return res.StatusCode, string(raw), err
}

// call must be answered with a status, and gives the answer's text.
func (p *projects) call(want int, method, path string, body, out any, header ...string) string {
	p.Helper()
	headers := map[string]string{}
	for i := 0; i < len(header); i += 2 {
		headers[header[i]] = header[i+1]
	}
	status, text, err := p.send(method, path, body, headers, out)
	p.must(err)
	if status != want {
		p.Fatalf("%s %s: %d %s; want %d", method, path, status, text, want)
	}
	return text
}

// refused must be answered with a problem.
func (p *projects) refused(want int, code, method, path string, body any, header ...string) {
	p.Helper()
	text := p.call(want, method, path, body, nil, header...)
	if !strings.Contains(text, `"code":"`+code+`"`) {
		p.Errorf("%s %s: %s; want %s", method, path, text, code)
	}
}

// done waits for the good end of the operation that a request begins.
func (p *projects) done(method, path string, body any) store.Operation {
	p.Helper()
	var op store.Operation
	p.call(http.StatusAccepted, method, path, body, &op)
	return p.ends(store.Succeeded, op)
}

func (p *projects) ends(want store.OperationState, op store.Operation) store.Operation {
	p.Helper()
	for deadline := time.Now().Add(4 * time.Minute); !op.State.Finished(); {
		if time.Now().After(deadline) {
			p.Fatalf("it doesn't end: %+v", op)
		}
		p.call(http.StatusOK, "GET", "/api/operations/"+op.ID+"?wait=30s", nil, &op)
	}
	if op.State != want {
		p.Fatalf("%s of %s is %s, want %s: %+v\n%s", op.Kind, op.Target, op.State, want, op.Error, strings.Join(op.Output, "\n"))
	}
	return op
}

// view is what is looked at of a project.
type view struct {
	ID, Name, Status, Source string
	Services                 []struct {
		Name, State string
		Containers  []string
	}
	Problems []struct {
		Code, Message, File string
		Line, Column        int
	}
	Notes []struct{ Code string }
	Binds []struct {
		Written string
		Finding struct{ State, Code string }
	}
	Variables []struct{ Name, Value, From string }
}

func (p *projects) at(rest string) string { return "/api/compose/" + p.name + rest }

func (p *projects) look() (v view) {
	p.Helper()
	p.call(http.StatusOK, "GET", p.at(""), nil, &v)
	return v
}

// is waits for a project's status.
func (p *projects) is(status string) view {
	p.Helper()
	var v view
	testbed.Eventually(p, 2*time.Minute, func() error {
		if v = p.look(); v.Status != status {
			return fmt.Errorf("it is %s, want %s: %+v", v.Status, status, v.Services)
		}
		return nil
	})
	return v
}

func (p *projects) container(service string) container.InspectResponse {
	p.Helper()
	for _, s := range p.look().Services {
		if s.Name == service && len(s.Containers) > 0 {
			return p.inspect(s.Containers[0])
		}
	}
	p.Fatalf("%s has no container", service)
	return container.InspectResponse{}
}

const projectFile = `# The shop.
services:
  db:
    image: OUR/db:latest
    stop_grace_period: 0s
    restart: unless-stopped
    healthcheck: &patient {test: ["CMD-SHELL", "true"], interval: 300ms, timeout: 30s, retries: 20}
    volumes: ["data:/data"]
    environment:
      DB_PASSWORD: ${DB_PASSWORD:?say it in .env}
      OURS: "${USER_PASSWORD:-}"
  init:
    image: OUR/web:latest
    command: ["true"]
    depends_on: {db: {condition: service_healthy}}
  web:
    image: OUR/web:latest # keep me
    stop_grace_period: 0s
    restart: unless-stopped
    healthcheck: *patient
    volumes: ["./content:/content"]
    depends_on: {init: {condition: service_completed_successfully}}
volumes: {data: {}}
`

func (p *projects) file() string {
	return strings.ReplaceAll(projectFile, "OUR/", p.bed.Registry(testbed.TLSToken).Ref(""))
}

func (p *projects) suite() {
	p.Run("is made and started", func(t *testing.T) { p.on(t).created() })
	p.Run("is edited, with a preview", func(t *testing.T) { p.on(t).edited() })
	p.Run("is acted on", func(t *testing.T) { p.on(t).acted() })
	p.Run("refuses what is wrong", func(t *testing.T) { p.on(t).guarded() })
	p.Run("is called off", func(t *testing.T) { p.on(t).calledOff() })
	p.Run("is made of containers", func(t *testing.T) { p.on(t).converted() })
	p.Run("is deleted", func(t *testing.T) { p.on(t).deleted() })
}

func (p *projects) on(t *testing.T) *projects {
	sub := *p
	sub.world = p.in(t)
	sub.signIn() // the proof is fresh for five minutes
	return &sub
}

func (p *projects) created() {
	var list struct {
		Projects []view
		Compose  struct {
			Available        bool
			Version, Problem string
		}
	}
	p.call(http.StatusOK, "GET", "/api/compose", nil, &list)
	if !list.Compose.Available || len(list.Projects) != 0 {
		p.Fatalf("%+v", list)
	}
	p.must(os.MkdirAll(filepath.Join(p.root, p.name+"-other"), 0o755))
	draft := map[string]any{"name": p.name, "compose": p.file(), "env": "DB_PASSWORD=hush\n", "start": true}
	op := p.done("POST", "/api/compose/create", draft)
	if op.Kind != "compose.up" || len(op.Output) == 0 {
		p.Errorf("%+v", op)
	}
	v := p.is("running")
	if v.Source != "both" || len(v.Services) != 3 {
		p.Errorf("%+v", v)
	}
	env := strings.Join(p.container("db").Config.Env, "\n")
	if !strings.Contains(env, "DB_PASSWORD=hush") || strings.Contains(env, "correct horse") {
		p.Errorf("the environment of db: %s", env)
	}
	for _, x := range v.Variables {
		if x.Value == "hush" {
			p.Errorf("%s is shown", x.Name)
		}
	}
	if len(v.Binds) != 1 || v.Binds[0].Finding.State != "same" {
		p.Errorf("binds: %+v", v.Binds)
	}
	p.must(os.WriteFile(filepath.Join(p.root, p.name, "content", "marker"), []byte("seen\n"), 0o644))
	c := p.container("web")
	if out, said, _ := p.exec(testbed.Container{ID: c.ID}, "cat", "/content/marker"); out != "seen\n" {
		p.Errorf("inside the service: %q %s", out, said)
	}
	p.refused(http.StatusConflict, "project_name_taken", "POST", "/api/compose/create", draft)
}

func (p *projects) edited() {
	var got struct {
		Content, ETag string
		Masked        bool
	}
	p.call(http.StatusOK, "GET", p.at("/files?name=.env"), nil, &got)
	if !got.Masked || strings.Contains(got.Content, "hush") || got.ETag != "" {
		p.Errorf("a secret is shown: %+v", got)
	}
	p.call(http.StatusOK, "GET", p.at("/files?name=compose.yaml&reveal=true"), nil, &got)
	if got.Content != p.file() {
		p.Errorf("it isn't what was saved: %s", got.Content)
	}
	save := func(content string) map[string]string {
		return map[string]string{"name": "compose.yaml", "content": content}
	}
	changed := strings.ReplaceAll(got.Content, "# keep me", "# keep me\n    environment: {GREETING: hello}")
	p.refused(http.StatusPreconditionRequired, "precondition_required", "PUT", p.at("/files"), save(changed))
	p.refused(http.StatusPreconditionFailed, "compose_file_changed", "PUT", p.at("/files"), save(changed), "If-Match", `"another"`)
	var saved struct {
		ETag     string
		Problems []any
	}
	p.call(http.StatusOK, "PUT", p.at("/files"), save(changed), &saved, "If-Match", got.ETag)
	p.refused(http.StatusPreconditionFailed, "compose_file_changed", "PUT", p.at("/files"), save(changed), "If-Match", got.ETag)

	var plan struct {
		Changes []struct{ Kind, Name, Effect, Why string }
	}
	p.call(http.StatusOK, "POST", p.at("/up?dryRun=true"), nil, &plan)
	why := ""
	for _, c := range plan.Changes {
		if c.Effect == "recreate" && strings.Contains(c.Name, "web") {
			why = c.Why
		}
	}
	if !strings.Contains(why, "configuration") {
		p.Errorf("the preview: %+v", plan)
	}
	p.done("POST", p.at("/up"), nil)
	if env := p.container("web").Config.Env; !strings.Contains(strings.Join(env, "\n"), "GREETING=hello") {
		p.Errorf("after up: %v", env)
	}

	var versions struct {
		Versions []struct {
			N          int
			Name, ETag string
		}
	}
	p.call(http.StatusOK, "GET", p.at("/versions?name=compose.yaml"), nil, &versions)
	for _, v := range versions.Versions {
		if v.ETag == got.ETag {
			p.call(http.StatusOK, "POST", p.at(fmt.Sprintf("/versions/%d/restore", v.N)), nil, nil, "If-Match", saved.ETag)
		}
	}
	if now := string(testbed.Must(os.ReadFile(filepath.Join(p.root, p.name, "compose.yaml")))(p)); now != p.file() {
		p.Errorf("restored: %s of %+v", now, versions)
	}

	var v view
	p.call(http.StatusOK, "POST", p.at("/validate"), map[string]any{"files": map[string]string{"compose.yaml": "services:\n  web:\n    imagee: x\n"}}, &v)
	if len(v.Problems) == 0 || v.Problems[0].Line != 3 || v.Problems[0].File != "compose.yaml" {
		p.Errorf("problems: %+v", v.Problems)
	}
}

func (p *projects) acted() {
	named := map[string]any{"project": p.name}
	p.done("POST", "/api/compose/stop", named)
	p.is("stopped")
	p.done("POST", "/api/compose/start", map[string]any{"project": p.name, "services": []string{"db"}})
	p.is("partial")
	p.done("POST", p.at("/up"), nil)
	p.is("running")
	before := p.container("web")
	p.done("POST", "/api/compose/restart", map[string]any{"project": p.name, "services": []string{"web"}})
	if now := p.container("web"); now.ID != before.ID || now.State.StartedAt == before.State.StartedAt {
		p.Errorf("it wasn't restarted: %+v", now.State)
	}
	p.done("POST", p.at("/recreate"), map[string]any{"services": []string{"web"}})
	if now := p.container("web"); now.ID == before.ID {
		p.Error("it wasn't made anew")
	}
	p.done("POST", p.at("/scale"), map[string]any{"replicas": map[string]int{"web": 2}})
	for _, s := range p.look().Services {
		if s.Name == "web" && len(s.Containers) != 2 {
			p.Errorf("%+v", s)
		}
	}
	p.done("POST", p.at("/pull"), nil)
	p.done("POST", p.at("/down"), nil)
	if v := p.is("down"); v.Source != "disk" {
		p.Errorf("%+v", v)
	}
	p.done("POST", p.at("/up"), nil)
	p.is("running")
	p.refused(http.StatusUnprocessableEntity, "validation_failed", "POST", p.at("/up"), map[string]any{"services": []string{"nothing"}})
}

func (p *projects) guarded() {
	create := func(name, file string) map[string]any { return map[string]any{"name": name, "compose": file} }
	for name, code := range map[string]string{"../up": "project_name_invalid", "-rm": "project_name_invalid", "Shop": "project_name_invalid", "a/b": "project_name_invalid"} {
		p.refused(http.StatusUnprocessableEntity, code, "POST", "/api/compose/create", create(name, p.file()))
	}
	state := "services: {x: {image: a, volumes: [\"" + filepath.Join(p.dir, "state") + ":/s\"]}}\n"
	for _, c := range []struct {
		file string
		want int
		code string
	}{
		{"services: {x: {imagee: a}}\n", http.StatusUnprocessableEntity, "compose_invalid"},
		{"services:\n\tx: {}\n", http.StatusUnprocessableEntity, "compose_invalid"},
		{"include: [/etc/passwd]\nservices: {x: {image: a}}\n", http.StatusUnprocessableEntity, "compose_invalid"},
		{"services: {x: {image: a, env_file: ../../secret}}\n", http.StatusUnprocessableEntity, "compose_invalid"},
		{state, http.StatusConflict, "compose_paths"},
		{strings.Replace(state, "/state:", ":", 1), http.StatusConflict, "compose_paths"},
	} {
		p.refused(c.want, c.code, "POST", "/api/compose/create", create("bad", c.file))
		if _, err := os.Stat(filepath.Join(p.root, "bad")); !errors.Is(err, os.ErrNotExist) {
			p.Errorf("of %q something is left: %v", c.file, err)
		}
	}
	p.refused(http.StatusRequestEntityTooLarge, "body_too_large", "POST", "/api/compose/create", create("bad", strings.Repeat("# long\n", 1<<19)))
	for name, code := range map[string]string{"../../state/signing.key": "compose_file_", "/etc/passwd": "compose_file_", "compose.yaml/..": "compose_file_", "notes.txt": "compose_file_forbidden"} {
		status, text, err := p.send("GET", p.at("/files?name="+name), nil, nil, nil)
		if p.must(err); status < 400 || !strings.Contains(text, `"code":"`+code) {
			p.Errorf("%s: %d %s", name, status, text)
		}
	}
	p.must(os.Symlink(filepath.Join(p.dir, "state", "signing.key"), filepath.Join(p.root, p.name, "linked.env")))
	if status, text, _ := p.send("GET", p.at("/files?name=linked.env&reveal=true"), nil, nil, nil); status < 400 {
		p.Errorf("a link out of the folder: %d %s", status, text)
	}
	p.must(os.Remove(filepath.Join(p.root, p.name, "linked.env")))
	p.refused(http.StatusNotFound, "project_not_found", "GET", "/api/compose/nobody", nil)
	p.refused(http.StatusUnprocessableEntity, "validation_failed", "POST", "/api/compose/stop", map[string]any{"project": p.name, "services": []string{"--all"}})
}

func (p *projects) calledOff() {
	repo := "slow-" + p.name // which no other run has pulled
	p.push(repo, repo, "true")
	reg := p.bed.Registry(testbed.TLSToken)
	asked := make(chan struct{}, 100)
	unblock := reg.Inject(testbed.Fault{Path: "/v2/" + repo + "/blobs/*", Latency: 5 * time.Minute, Hook: func(testbed.Request) { asked <- struct{}{} }})
	var op store.Operation
	name := p.name + "-slow"
	p.call(http.StatusAccepted, "POST", "/api/compose/create", map[string]any{
		"name": name, "compose": "services: {slow: {image: " + reg.Ref(repo+":latest") + ", stop_grace_period: 0s}}\n", "start": true,
	}, &op)
	select {
	case <-asked:
	case <-time.After(time.Minute):
		p.call(http.StatusOK, "GET", "/api/operations/"+op.ID, nil, &op)
		p.Fatalf("the image isn't asked for: %+v %+v\n%s", op, op.Error, strings.Join(op.Output, "\n"))
	}
	p.refused(http.StatusConflict, "project_busy", "POST", "/api/compose/"+name+"/up", nil)
	p.call(http.StatusAccepted, "POST", "/api/operations/"+op.ID+"/cancel", nil, nil)
	op = p.ends(store.Cancelled, op)
	if !strings.Contains(op.Error.Message, "ann") {
		p.Errorf("%+v", op.Error)
	}
	unblock()
	p.done("POST", "/api/compose/"+name+"/up", nil)
	p.done("DELETE", "/api/compose/delete", map[string]any{"project": name, "removeFiles": true})
	if _, err := os.Stat(filepath.Join(p.root, name)); !errors.Is(err, os.ErrNotExist) {
		p.Errorf("the folder is still there: %v", err)
	}
}

func (p *projects) converted() {
	var out struct {
		Compose, Env string
		Secrets      []string
	}
	p.call(http.StatusOK, "POST", "/api/compose/convert", map[string]any{"containers": []string{p.container("db").ID}}, &out)
	if !strings.Contains(out.Compose, "external: true") || strings.Contains(out.Compose+out.Env, "hush") || len(out.Secrets) != 1 {
		p.Errorf("%+v", out)
	}
	p.call(http.StatusOK, "POST", "/api/compose/convert?reveal=true", map[string]any{"containers": []string{p.container("db").ID}}, &out)
	if !strings.Contains(out.Env, "hush") {
		p.Errorf("revealed: %+v", out)
	}
}

func (p *projects) deleted() {
	p.must(os.WriteFile(filepath.Join(p.root, p.name, "notes.txt"), []byte("mine\n"), 0o644))
	type deletion struct {
		Takes struct {
			Containers           []struct{ Name string }
			Volumes, VolumesKept []struct{ Name string }
			Files, FilesKept     []string
		}
	}
	var kept, gone deletion
	p.call(http.StatusOK, "DELETE", "/api/compose/delete", map[string]any{"project": p.name, "dryRun": true}, &kept)
	if len(kept.Takes.Containers) != 3 || len(kept.Takes.Volumes) != 0 || len(kept.Takes.VolumesKept) != 1 || len(kept.Takes.Files) != 0 {
		p.Errorf("without volumes and files: %+v", kept)
	}
	p.is("running")
	words := map[string]any{"project": p.name, "removeVolumes": true, "removeFiles": true, "dryRun": true}
	p.call(http.StatusOK, "DELETE", "/api/compose/delete", words, &gone)
	if len(gone.Takes.Volumes) != 1 || len(gone.Takes.Files) != 2 {
		p.Errorf("with volumes and files: %+v", gone)
	}
	words["dryRun"] = false
	p.done("DELETE", "/api/compose/delete", words)
	p.refused(http.StatusNotFound, "project_not_found", "GET", p.at(""), nil)
	left := testbed.Must(p.engine.VolumeList(p.Context(), client.VolumeListOptions{Filters: make(client.Filters).Add("label", "com.docker.compose.project="+p.name)}))(p)
	if len(left.Items) != 0 {
		p.Errorf("volumes that are left: %+v", left.Items)
	}
	entries := testbed.Must(os.ReadDir(filepath.Join(p.root, p.name)))(p)
	for _, e := range entries {
		if n := e.Name(); n != "notes.txt" && n != "content" {
			p.Errorf("%s is left", n)
		}
	}
	if len(entries) != 2 {
		p.Errorf("what wasn't the project's has gone: %v", entries)
	}
}
