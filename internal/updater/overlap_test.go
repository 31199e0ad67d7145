package updater_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/updater"
	"github.com/watch-docker/watch-docker/test/inspection"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// first is a request to start the new container before the old one stops.
func (w *world) first(c testbed.Container, tag, digest string, shared ...string) updater.Request {
	r := w.request(c, tag, digest)
	r.Labels = policy.Labels{Strategy: policy.StartFirst, SharedVolumes: shared}
	return r
}

func stepsOf(op store.Operation) string {
	var names []string
	for _, s := range op.Steps {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

// server answers with its payload; told to stop, it ends what it is at.
func server(payload string) testbed.ImageOptions {
	return testbed.ImageOptions{Payload: payload, Healthcheck: health("wget -q -O - http://127.0.0.1/payload"),
		Cmd: []string{"sh", "-c", `httpd -f -p 80 -h / & trap 'kill $!; sleep 2; exit 0' TERM; while :; do wait; done`}}
}

// asks a name for the payload again and again, at all addresses that it has
// until one answers, as browsers and proxies do. Nobody tells a client whose
// server's network has gone, so it waits for 10 seconds at most.
const asks = `while :; do
	got=
	for ip in $(nslookup "$0" 127.0.0.11 | while read key value; do case "$key $value" in "Address: "*:53) ;; "Address: "*) echo "$value" ;; esac; done); do
		got=$(timeout 10 wget -q -O - "http://$ip/payload" 2>/dev/null) && break
	done
	echo "answer ${got:-none}"
done`

// answers are those that a poller has got so far, each with how often.
func (w *world) answers(poller testbed.Container) map[string]int {
	w.Helper()
	count := map[string]int{}
	for line := range strings.Lines(w.docker("logs", poller.Name)) {
		if word, ok := strings.CutPrefix(strings.TrimSpace(line), "answer "); ok {
			count[word]++
		}
	}
	return count
}

// waitFor waits until a condition holds.
func (w *world) waitFor(what string, holds func() bool) {
	w.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			w.Fatalf("never: %s", what)
		}
	}
}

// found are the addresses that a name has within a container's networks.
func (w *world) found(from, name string) []string {
	w.Helper()
	var list []string
	for line := range strings.Lines(w.docker("exec", from, "sh", "-c", "nslookup "+name+" 127.0.0.11 || true")) {
		if a, ok := strings.CutPrefix(strings.TrimSpace(line), "Address: "); ok && !strings.HasSuffix(a, ":53") {
			list = append(list, strings.TrimSpace(a))
		}
	}
	slices.Sort(list)
	return list
}

func TestAServiceThatIsStartedFirstIsNeverGone(t *testing.T) {
	w := newWorld(t)
	front := must(w.bed.Network(t.Context(), "front", client.NetworkCreateOptions{}))(t)
	w.push("app:1", server("one"))
	w.push("poller:1", testbed.ImageOptions{Payload: "poller"})
	on := container.NetworkMode(front)
	c := w.start("app:1", testbed.ContainerSpec{Name: "app", HostConfig: &container.HostConfig{NetworkMode: on, RestartPolicy: container.RestartPolicy{Name: "always"}},
		Networking: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{front: {Aliases: []string{"web"}}}}})
	poll := func(name, what string) testbed.Container {
		return w.start("poller:1", testbed.ContainerSpec{Name: name, HostConfig: &container.HostConfig{NetworkMode: on}, Cmd: []string{"sh", "-c", asks, what}})
	}
	byAlias, byName := poll("by-alias", "web"), poll("by-name", c.Name)
	w.waitFor("the old one is asked", func() bool { return w.answers(byAlias)["one"] > 5 && w.answers(byName)["one"] > 5 })
	before := w.answers(byAlias)

	op := w.update(w.first(c, "app:1", w.push("app:1", server("two"))))
	w.expect(op, store.Succeeded, "")
	if got := stepsOf(op); got != "preflight pull create start gate swap stop finish" {
		t.Errorf("steps: %s", got)
	}
	if op.DowntimeMs != 0 {
		t.Errorf("down for %d ms", op.DowntimeMs)
	}
	w.waitFor("the new one is asked", func() bool { return w.answers(byAlias)["two"] > 5 && w.answers(byName)["two"] > 5 })
	after := w.answers(byAlias)
	t.Logf("by the alias %v, before %v; by the name %v", after, before, w.answers(byName))
	if after["none"] != before["none"] {
		t.Errorf("%d requests failed", after["none"]-before["none"])
	}
	now := w.named(c.Name)
	if now.ID == c.ID || !now.State.Running || now.HostConfig.RestartPolicy.Name != "always" {
		t.Errorf("now: %+v %+v", now.State, now.HostConfig.RestartPolicy)
	}
	address := []string{now.NetworkSettings.Networks[front].IPAddress.String()}
	for _, name := range []string{c.Name, "web", now.ID[:12]} {
		if got := w.found(byAlias.Name, name); !slices.Equal(got, address) {
			t.Errorf("%s is %v, want %v", name, got, address)
		}
	}
	for _, name := range []string{c.Name + ".wd-new", c.Name + ".wd-old", c.ID[:12]} {
		if got := w.found(byAlias.Name, name); len(got) > 0 {
			t.Errorf("%s is still %v", name, got)
		}
	}
	w.alone(c.Name)
}

// untouched checks that a container is the one that it was, and has run all the while.
func (w *world) untouched(was container.InspectResponse) {
	w.Helper()
	now := w.named(strings.TrimPrefix(was.Name, "/"))
	if now.ID != was.ID || now.State.StartedAt != was.State.StartedAt || now.RestartCount != was.RestartCount || !now.State.Running ||
		now.HostConfig.RestartPolicy != was.HostConfig.RestartPolicy {
		w.Errorf("it was touched: %s %+v, before %s %+v", now.ID, now.State, was.ID, was.State)
	}
	if id, err := w.engine.ImageID(w.Context(), was.Config.Image); err != nil || id != was.Image {
		w.Errorf("the tag names %s, %v; want the old image %s", id, err, was.Image)
	}
	w.alone(strings.TrimPrefix(was.Name, "/"))
}

func TestABrokenReleaseThatIsStartedFirstIsNotNoticed(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		broken testbed.ImageOptions
		code   string
		logs   string
	}{
		"entrypoint-missing": {testbed.ImageOptions{Entrypoint: []string{"/nowhere"}}, updater.CodeStart, ""},
		"crash":              {testbed.ImageOptions{Cmd: []string{"/bin/sh", "-c", "echo out of luck; sleep 0.3; exit 7"}}, updater.CodeExited, "out of luck"},
		"ends":               {testbed.ImageOptions{Cmd: []string{"/bin/sh", "-c", "echo good bye"}}, updater.CodeExited, "good bye"},
		"unhealthy":          {testbed.ImageOptions{Cmd: testbed.Stoppable("sh", "-c", "echo serving nothing; sleep 1000"), Healthcheck: health("echo bad; false")}, updater.CodeUnhealthy, "serving nothing"},
	} {
		for _, rm := range []bool{false, true} {
			t.Run(fmt.Sprint(name, rm), func(t *testing.T) {
				w := w.beside(t)
				name := fmt.Sprint(name, rm)
				tag := name + ":latest"
				w.push(tag, testbed.ImageOptions{Payload: "good"})
				host := &container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "always"}}
				if rm {
					host = &container.HostConfig{AutoRemove: true}
				}
				box := w.start(tag, testbed.ContainerSpec{Name: name, HostConfig: host})
				was := w.named(box.Name)
				c.broken.Payload = "broken"
				digest := w.push(tag, c.broken)
				op := w.update(w.first(box, tag, digest))
				w.expect(op, store.RolledBack, c.code)
				if c.logs != "" && !rm && !strings.Contains(strings.Join(op.Error.Logs, "\n"), c.logs) {
					t.Errorf("the log lines are %q, want %q among them", op.Error.Logs, c.logs)
				}
				if op.DowntimeMs != 0 || strings.Contains(stepsOf(op), "stop") {
					t.Errorf("down for %d ms; steps %s", op.DowntimeMs, stepsOf(op))
				}
				w.untouched(was)
				if bad, err := w.store.Quarantined(t.Context(), box.Name, digest); err != nil || !bad {
					t.Errorf("quarantined: %v, %v", bad, err)
				}
			})
		}
	}
}

// Each of these has something that two can't have.
func TestWhatCantRunTwiceIsNotStartedFirst(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one", Volumes: []string{"/image"}})
	w.push("bare:1", testbed.ImageOptions{Payload: "bare"})
	for _, ref := range []string{"app:1", "bare:1"} {
		if err := w.bed.Pull(t.Context(), w.reg.Ref(ref)); err != nil {
			t.Fatal(err)
		}
	}
	w.docker("network", "create", "--ipv6", "--subnet", "10.77.1.0/24", "--subnet", "fd00:77:1::/64", w.bed.Name("net"))
	other := w.start("bare:1", testbed.ContainerSpec{Name: "other"})
	w.push("app:1", testbed.ImageOptions{Payload: "two", Volumes: []string{"/image"}})
	w.push("bare:1", testbed.ImageOptions{Payload: "two"})
	in := strings.NewReplacer("{net}", w.bed.Name("net"), "{other}", other.Name, "{vol}", w.bed.Name("vol"))
	for i, c := range []struct {
		args   string
		mac    string
		image  string
		shared []string
		beside string   // how another container depends on it
		says   []string // empty: it is updated
	}{
		{args: "-p 127.0.0.1:18080:80 -p 81/udp", says: []string{"(127.0.0.1:18080:80/tcp)", "(81/udp)"}},
		{args: "-P", says: []string{"publishes a port (all)"}},
		{args: "--network host", says: []string{"the host's network"}},
		{args: "--network container:{other}", says: []string{"the network of container " + other.ID[:12]}},
		{args: "--network {net} --ip 10.77.1.9 --ip6 fd00:77:1::9 --link-local-ip 169.254.77.9", says: []string{"10.77.1.9 in network {net}", "fd00:77:1::9", "169.254.77.9"}},
		{mac: "02:aa:bb:cc:dd:ee", says: []string{"02:aa:bb:cc:dd:ee in network bridge"}},
		{beside: "--network container:", says: []string{"beside-6 depends on it"}},
		{beside: "--volumes-from ", says: []string{"beside-7 depends on it"}},
		{beside: "--link ", says: []string{"beside-8 depends on it"}},
		{image: "app:1", args: "-v {vol}:/named -v /tmp:/bind -v /anonymous --mount type=tmpfs,destination=/t --tmpfs /t2 -v /usr:/ro:ro",
			says: []string{"/anonymous (an anonymous volume)", "/bind (bind /tmp)", "/image (an anonymous volume)", "/named (volume {vol})"}},
		{image: "app:1", args: "-v {vol}:/named -v /tmp:/bind", shared: []string{"/image/", "{vol}"}, says: []string{"/bind (bind /tmp)"}},
		{image: "app:1", args: "-v {vol}:/named -v /tmp:/bind", shared: []string{"/image/", "{vol}", "/bind"}},
		{image: "app:1", args: "-v {vol}:/named -v /tmp:/bind -v /anonymous --volumes-from {other}", shared: []string{"*"}},
		{args: "--network {net} --mount type=tmpfs,destination=/t -v /usr:/ro:ro -h mine --link {other}:o"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			w := w.beside(t)
			name, tag := w.bed.Name(fmt.Sprint("twice-", i)), c.image
			if tag == "" {
				tag = "bare:1"
			}
			if c.args == "" {
				c.args = "-e A=b"
			}
			var id string
			if c.mac != "" {
				id = w.withMAC(name, w.reg.Ref(tag), c.mac)
			} else {
				id = w.docker(append(append([]string{"run", "-d", "--name", name}, strings.Fields(in.Replace(c.args))...), w.reg.Ref(tag))...)
			}
			if c.beside != "" {
				w.docker(append(append([]string{"run", "-d", "--name", w.bed.Name(fmt.Sprint("beside-", i))}, strings.Fields(c.beside+name)...), w.reg.Ref(tag))...)
			}
			was := w.named(name)
			shared := slices.Clone(c.shared)
			for i := range shared {
				shared[i] = in.Replace(shared[i])
			}
			r := w.first(testbed.Container{ID: id, Name: name}, tag, "", shared...)
			op := w.update(r)
			defer w.docker("rm", "-f", "-v", name)
			if len(c.says) == 0 {
				w.expect(op, store.Succeeded, "")
				if op.DowntimeMs != 0 || !strings.Contains(stepsOf(op), "gate swap stop") {
					t.Errorf("down for %d ms; steps %s", op.DowntimeMs, stepsOf(op))
				}
				w.docker("tag", was.Image, w.reg.Ref(tag))
				return
			}
			w.expect(op, store.Failed, updater.CodeStartFirst)
			t.Log(op.Error.Message)
			for _, words := range c.says {
				if !strings.Contains(op.Error.Message, in.Replace(words)) {
					t.Errorf("it doesn't say %q: %s", words, op.Error.Message)
				}
			}
			if n := strings.Count(op.Error.Message, "; "); n != len(c.says) {
				t.Errorf("%d reasons, want %d", n, len(c.says))
			}
			if got := stepsOf(op); got != "preflight" {
				t.Errorf("steps: %s", got)
			}
			w.untouched(was)
		})
	}
}

// withMAC runs a container that has its MAC address from its user. Engines
// differ in where that stands, and Docker's command line doesn't know older ones.
func (w *world) withMAC(name, image, mac string) (id string) {
	w.Helper()
	body := fmt.Sprintf(`{"Image":%q,"MacAddress":%q,"HostConfig":{"NetworkMode":"bridge"},"NetworkingConfig":{"EndpointsConfig":{"bridge":{"MacAddress":%q}}}}`, image, mac, mac)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(w.bed.Engine().Host(), "unix://"))
	}
	engine := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	req := must(http.NewRequestWithContext(w.Context(), http.MethodPost, "http://engine/containers/create?name="+name, strings.NewReader(body)))(w)
	req.Header.Set("Content-Type", "application/json")
	res := must(engine.Do(req))(w)
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		w.Fatalf("create: %s", res.Status)
	}
	w.docker("start", name)
	return w.named(name).ID
}

func TestAStoppedContainerIsReplacedWhateverItsStrategy(t *testing.T) {
	w := newWorld(t)
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app", CreateOnly: true, HostConfig: &container.HostConfig{PublishAllPorts: true}})
	op := w.update(w.first(c, "app:1", w.push("app:1", testbed.ImageOptions{Payload: "two"})))
	w.expect(op, store.Succeeded, "")
	if now := w.named(c.Name); now.State.Running || now.ID == c.ID || stepsOf(op) != "preflight pull create swap finish" {
		t.Errorf("%+v; %s", now.State, stepsOf(op))
	}
}

// Those that asked to be restarted with it are; a broken one of them brings all back.
func TestThoseThatAreRestartedFollowWhatIsStartedFirst(t *testing.T) {
	for name, c := range map[string]struct {
		needs string
		state store.OperationState
		code  string
	}{
		"good": {"true", store.Succeeded, ""},
		"bad":  {"test ! -e /tmp/second", store.RolledBack, updater.CodeExited},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.push("app:1", testbed.ImageOptions{Payload: "one"})
			w.push("follower:1", testbed.ImageOptions{Payload: "follower", Cmd: []string{"sh", "-c", "trap 'exit 0' TERM; " + c.needs + " || exit 4; touch /tmp/second; sleep 1000 & wait"}})
			app := w.start("app:1", testbed.ContainerSpec{Name: "app"})
			follower := w.start("follower:1", testbed.ContainerSpec{Name: "follower", Labels: map[string]string{"watchdocker.dependsOn": app.Name}})
			before := w.named(follower.Name)
			op := w.update(w.first(app, "app:1", w.push("app:1", testbed.ImageOptions{Payload: "two"})))
			w.expect(op, c.state, c.code)
			now := w.named(follower.Name)
			if now.ID != before.ID || now.State.StartedAt == before.State.StartedAt {
				t.Errorf("the follower: %s %+v, before %s %+v", now.ID, now.State, before.ID, before.State)
			}
			main := w.named(app.Name)
			if !main.State.Running || (main.ID != app.ID) != (c.state == store.Succeeded) {
				t.Errorf("the main one: %s %+v", main.ID, main.State)
			}
			if want := "preflight pull create start gate swap stop dependents gate"; !strings.HasPrefix(stepsOf(op), want) {
				t.Errorf("steps: %s", stepsOf(op))
			}
			if (op.DowntimeMs > 0) != (c.state == store.RolledBack) {
				t.Errorf("down for %d ms", op.DowntimeMs)
			}
			w.alone(app.Name)
		})
	}
}

// TestStartFirstLeavesNoTrace is TestAnUpdatedContainerEqualsItsControl for
// containers that were renamed while they ran.
func TestStartFirstLeavesNoTrace(t *testing.T) {
	w := newWorld(t)
	for i, s := range []shape{
		{name: "nothing set"},
		{name: "networks", prep: []string{"network create {name}-a", "network create {name}-b"},
			args: []string{"--network", "{name}-a", "--network-alias", "web", "-h", "mine", "--restart", "unless-stopped", "-v", "{name}-v:/v", "-v", "/anonymous"},
			then: []string{"network connect --alias db {name}-b {name}"}},
		{name: "removed at its end", args: []string{"--rm", "-v", "/anonymous", "-e", "MINE=1"}},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			name, tag := w.bed.Name(fmt.Sprint("first-", i)), fmt.Sprintf("first-%d:latest", i)
			b := &workshop{world: w.beside(t), name: name}
			in := strings.NewReplacer("{name}", name, "{image}", w.reg.Ref(tag))
			b.push(tag, releases()[0])
			if err := w.bed.Pull(t.Context(), w.reg.Ref(tag)); err != nil {
				t.Fatal(err)
			}
			for _, line := range s.prep {
				b.cli(strings.Fields(in.Replace(line))...)
			}
			old := b.make(s, in)
			b.expect(b.update(b.first(testbed.Container{ID: old, Name: name}, tag, b.push(tag, releases()[1]), "*")), store.Succeeded, "")
			got := b.inspect()
			bridge, _ := got["NetworkSettings"].(map[string]any)["Networks"].(map[string]any)["bridge"].(map[string]any)
			if names, ok := bridge["DNSNames"]; ok && names != nil {
				// Newer engines fill this in when they rename a container that runs, until
				// its next start. That network has no names.
				bridge["DNSNames"] = nil
			}
			b.cli("rm", "-f", name)
			b.make(s, in)
			known := in.Replace(strings.Join(append(s.args, s.then...), " "))
			if diff := cmp.Diff(inspection.Normalise(b.inspect(), known), inspection.Normalise(got, known)); diff != "" {
				t.Errorf("inspect (-control +updated):\n%s", diff)
			}
			b.alone(name)
		})
	}
}

// Going back by hand is start-first too, unless something has come to speak against it.
func TestTheWayBackIsStartFirstWhereItCanBe(t *testing.T) {
	w := newWorld(t)
	w.up.Apply(updater.Settings{Concurrency: 1, RemoveOld: true, StableFor: time.Second, Keep: 100, KeepImages: 2}, w.accounts())
	w.push("app:1", testbed.ImageOptions{Payload: "one"})
	c := w.start("app:1", testbed.ContainerSpec{Name: "app"})
	w.expect(w.update(w.first(c, "app:1", w.push("app:1", testbed.ImageOptions{Payload: "two"}))), store.Succeeded, "")
	back := func() store.Operation {
		w.Helper()
		now := w.named(c.Name)
		op := must(w.up.Rollback(t.Context(), w.first(testbed.Container{ID: now.ID, Name: c.Name}, "app:1", "")))(t)
		<-w.up.Done(op.ID)
		op = must(w.up.Operation(t.Context(), op.ID))(t)
		w.expect(op, store.Succeeded, "")
		w.alone(c.Name)
		return op
	}
	if op := back(); stepsOf(op) != "preflight pull create start gate swap stop finish" || op.DowntimeMs != 0 {
		t.Errorf("steps %s, down for %d ms", stepsOf(op), op.DowntimeMs)
	}
	w.expect(w.update(w.first(testbed.Container{ID: w.named(c.Name).ID, Name: c.Name}, "app:1", w.push("app:1", testbed.ImageOptions{Payload: "three"}))), store.Succeeded, "")
	w.start("app:1", testbed.ContainerSpec{Name: "side", HostConfig: sharing("container:" + c.Name)})
	if op := back(); !strings.Contains(stepsOf(op), "create stop swap start") || op.DowntimeMs == 0 {
		t.Errorf("steps %s, down for %d ms", stepsOf(op), op.DowntimeMs)
	}
}
