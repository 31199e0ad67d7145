package testbed_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"
	"go.uber.org/goleak"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// victimEnv makes the test binary bring up a bed with that engine and wait to
// be killed.
const victimEnv = "TESTBED_TEST_VICTIM"

func TestMain(m *testing.M) {
	if engine := os.Getenv(victimEnv); engine != "" {
		os.Exit(victim(testbed.EngineChoice(engine), os.Getenv(victimEnv+"_IMAGE")))
	}
	goleak.VerifyTestMain(m)
}

// multiPlatform is an index for two platforms, with attestations.
func multiPlatform(t *testing.T, payload string) v1.ImageIndex {
	t.Helper()
	return testbed.Must(testbed.Index(testbed.IndexOptions{
		Images: map[string]v1.Image{
			"linux/amd64": testbed.Must(testbed.Image(testbed.ImageOptions{Payload: payload}))(t),
			"linux/arm64": testbed.Must(testbed.Image(testbed.ImageOptions{Payload: payload, Platform: "linux/arm64"}))(t),
		},
		Attest: true,
	}))(t)
}

func TestIndexBehindTLSAndTokenIsPulledWithCredentialsOnly(t *testing.T) {
	t.Parallel()
	bed := testbed.New(t, testbed.WithEngine(testbed.AnyEngine), testbed.WithRegistry(testbed.TLSToken))
	reg := bed.Registry(testbed.TLSToken)
	digest := testbed.Must(reg.Push(t.Context(), "shop/web:1.27", multiPlatform(t, "one")))(t)
	ref := reg.Ref("shop/web:1.27")
	if reg.Count() != 0 {
		t.Errorf("a push by the testbed counts: %v", reg.Requests())
	}

	if err := bed.Pull(t.Context(), ref, testbed.Anonymous()); err == nil {
		t.Error("pull without credentials: no error, want a refusal")
	}
	if err := bed.Pull(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	img := testbed.Must(bed.Engine().Client().ImageInspect(t.Context(), ref))(t)
	if want := reg.Ref("shop/web@" + digest); !slices.Equal(img.RepoDigests, []string{want}) {
		t.Errorf("RepoDigests = %v, want %s", img.RepoDigests, want)
	}
	if reg.Count() == 0 || reg.Tokens().Count() == 0 {
		t.Errorf("requests seen: %d at the registry, %d at the token server", reg.Count(), reg.Tokens().Count())
	}
}

func TestPublicRepositoryIsPulledByAnybody(t *testing.T) {
	t.Parallel()
	bed := testbed.New(t, testbed.WithEngine(testbed.AnyEngine), testbed.WithRegistry(testbed.Token))
	reg := bed.Registry(testbed.Token)
	testbed.Must(reg.Push(t.Context(), "public/web:1", multiPlatform(t, "one")))(t)
	if err := bed.Pull(t.Context(), reg.Ref("public/web:1"), testbed.Anonymous()); err != nil {
		t.Error(err)
	}
}

func TestTwoBedsAtOnceDoNotMeet(t *testing.T) {
	t.Parallel()
	type side struct {
		bed *testbed.Bed
		err error
	}
	sides := make(chan side, 2)
	for range 2 {
		go func() {
			bed, err := testbed.Up(t.Context(), testbed.Options{
				Engine: testbed.PrivateEngine, Registries: []testbed.Kind{testbed.Plain},
			})
			sides <- side{bed, err}
		}()
	}
	one, two := <-sides, <-sides
	for _, s := range []side{one, two} {
		if s.err != nil {
			t.Fatal(s.err)
		}
		defer func() { _ = s.bed.Close(t.Context()) }()
	}
	web := runWeb(t, one.bed)
	runWeb(t, two.bed) // the same published port, the same container address
	if got := containers(t, two.bed); slices.Contains(got, web.ID) {
		t.Errorf("the other bed's engine lists %s", web.Name)
	}
	if err := two.bed.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := containers(t, one.bed); !slices.Equal(got, []string{web.ID}) {
		t.Errorf("after the other bed is down: containers %v, want %s", got, web.ID)
	}
	getPage(t, one.bed)
}

func TestCloseLeavesNothing(t *testing.T) {
	// Not parallel: it looks at what the whole machine has.
	before := machine(t)
	bed := testbed.Must(testbed.Up(t.Context(), testbed.Options{
		Engine: testbed.PrivateEngine, Registries: []testbed.Kind{testbed.Plain, testbed.TLSToken},
	}))(t)
	runWeb(t, bed)
	testbed.Must(bed.Engine().Proxy(t.Context()))(t)
	if err := bed.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkGone(t, bed.Dir(), before)
}

func TestEngineComesBackOnItsSocket(t *testing.T) {
	t.Parallel()
	bed := testbed.New(t, testbed.WithEngine(testbed.PrivateEngine), testbed.WithRegistry(testbed.Plain))
	engine, ctx := bed.Engine(), t.Context()
	web := runWeb(t, bed)
	for _, away := range []struct {
		name string
		do   func(context.Context) error
	}{{"stopped", engine.Stop}, {"killed", engine.Kill}} {
		if err := away.do(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := engine.Client().Ping(ctx, client.PingOptions{}); err == nil {
			t.Errorf("%s engine answers", away.name)
		}
		if err := engine.Start(ctx); err != nil {
			t.Fatalf("start %s engine: %v", away.name, err)
		}
		if got := containers(t, bed); !slices.Equal(got, []string{web.ID}) {
			t.Errorf("after it was %s: containers %v, want %s", away.name, got, web.ID)
		}
		if _, err := engine.Client().ContainerStart(ctx, web.ID, client.ContainerStartOptions{}); err != nil {
			t.Errorf("after it was %s: %v", away.name, err)
		}
		getPage(t, bed)
	}
}

func TestRegistryStartedLaterIsInReachOfTheEngine(t *testing.T) {
	t.Parallel()
	bed := testbed.New(t, testbed.WithEngine(testbed.PrivateEngine))
	reg := testbed.Must(bed.StartRegistry(t.Context(), testbed.Token))(t)
	testbed.Must(reg.Push(t.Context(), "late:1", testbed.Must(testbed.Image(testbed.ImageOptions{}))(t)))(t)
	if err := bed.Pull(t.Context(), reg.Ref("late:1")); err != nil {
		t.Error(err)
	}
}

func TestBedOfAKilledOwnerIsSweptUp(t *testing.T) {
	before := machine(t)
	dir := killVictim(t, "private", "")
	waitFor(t, "the victim's engine and registry to die", func() bool { return len(processesIn(t, dir)) == 0 })
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("the victim left nothing to sweep: %v", err)
	}
	if err := testbed.Sweep(t.Context(), t.Output()); err != nil {
		t.Fatal(err)
	}
	checkGone(t, dir, before)
}

func TestKilledOwnersThingsAreSweptUpInAnExistingEngine(t *testing.T) {
	host := testbed.New(t, testbed.WithEngine(testbed.PrivateEngine), testbed.WithRegistry(testbed.Plain))
	runWeb(t, host)
	reg := host.Registry(testbed.Plain)
	testbed.Must(reg.Push(t.Context(), "victim:1", testbed.Must(testbed.Image(testbed.ImageOptions{Payload: "victim"}))(t)))(t)
	before := inventory(t, host)
	t.Setenv("DOCKER_HOST", host.Engine().Host())
	killVictim(t, "existing", reg.Ref("victim:1"))
	if slices.Equal(inventory(t, host), before) {
		t.Error("the victim left nothing to sweep")
	}
	testbed.New(t) // sweeps first
	if diff := cmp.Diff(before, inventory(t, host)); diff != "" {
		t.Errorf("the engine has changed (-before +after):\n%s", diff)
	}
}

// killVictim lets another process bring up a bed with a container of the
// image ref (empty: of its own), kills that process and returns the bed's
// folder.
func killVictim(t *testing.T, engine testbed.EngineChoice, ref string) (dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testbed.Must(os.Executable())(t))
	cmd.Env = append(os.Environ(), victimEnv+"="+string(engine), victimEnv+"_IMAGE="+ref)
	cmd.Stderr = os.Stderr
	out := testbed.Must(cmd.StdoutPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := testbed.Must(bufio.NewReader(out).ReadString('\n'))(t)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	return strings.TrimSpace(line)
}

// victim brings up a bed with a running container, names its folder, and
// waits for the end.
func victim(engine testbed.EngineChoice, ref string) int {
	ctx := context.Background()
	bed, err := testbed.Up(ctx, testbed.Options{Engine: engine, Registries: []testbed.Kind{testbed.Plain}})
	if err == nil {
		err = victimContainer(ctx, bed, ref)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(bed.Dir())
	select {}
}

func victimContainer(ctx context.Context, bed *testbed.Bed, ref string) error {
	if ref == "" {
		ref = bed.Registry(testbed.Plain).Ref("web:1")
		img, err := testbed.Image(testbed.ImageOptions{})
		if err != nil {
			return err
		}
		if _, err := bed.Registry(testbed.Plain).Push(ctx, "web:1", img); err != nil {
			return err
		}
	}
	if err := bed.Pull(ctx, ref); err != nil {
		return err
	}
	_, err := bed.Run(ctx, testbed.ContainerSpec{Name: "victim", Image: ref})
	return err
}

// machine is what a bed could leave behind that doesn't bear its id: mounts,
// interfaces, what dockerd and containerd make of their own accord.
func machine(t *testing.T) []string {
	t.Helper()
	var list []string
	mounts := testbed.Must(os.ReadFile("/proc/self/mounts"))(t)
	for line := range strings.Lines(string(mounts)) {
		list = append(list, "mount "+strings.TrimSpace(line))
	}
	for _, i := range testbed.Must(net.Interfaces())(t) {
		list = append(list, "interface "+i.Name)
	}
	for _, pattern := range []string{"/etc/docker/*", "/opt/*", "/run/*", "/var/lib/docker", "/var/lib/containerd"} {
		for _, path := range testbed.Must(filepath.Glob(pattern))(t) {
			list = append(list, "file "+path)
		}
	}
	return list
}

// checkGone fails the test if there is a trace of the bed in dir, or the
// machine isn't as it was before.
func checkGone(t *testing.T, dir string, before []string) {
	t.Helper()
	for _, p := range processesIn(t, dir) {
		t.Errorf("process left: %s", p)
	}
	name := filepath.Base(dir)
	for _, pattern := range []string{dir, "/sys/fs/cgroup/" + name + "*", "/sys/fs/cgroup/*/" + name + "*"} {
		for _, path := range testbed.Must(filepath.Glob(pattern))(t) {
			t.Errorf("folder left: %s", path)
		}
	}
	if diff := cmp.Diff(before, machine(t)); diff != "" {
		t.Errorf("the machine has changed (-before +after):\n%s", diff)
	}
}

// processesIn are the commands that speak of a bed in their arguments.
func processesIn(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	for _, file := range testbed.Must(filepath.Glob("/proc/[0-9]*/cmdline"))(t) {
		line, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(line), dir) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func containers(t *testing.T, bed *testbed.Bed) []string {
	t.Helper()
	list := testbed.Must(bed.Engine().Client().ContainerList(t.Context(), client.ContainerListOptions{All: true}))(t)
	var ids []string
	for _, item := range list.Items {
		ids = append(ids, item.ID)
	}
	return ids
}
