package campaign_test

import (
	"net/netip"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// shape is a kind of container, and how its next release is.
type shape struct {
	name    string
	host    container.HostConfig
	config  container.Config
	health  bool     // the image has a health check
	volumes []string // that the image declares: anonymous
	data    []string // folders on volumes that hold a marker
	front   bool     // on the network front, with a fixed address and an alias
	back    bool     // on the network back too
	port    string   // published; the container serves its image's payload there
	stopped bool     // by hand, and to stay so
	broken  bool     // the new release ends at once
	slow    bool     // to stop: it takes a second
	beside  bool     // another container lives in its network namespace
	tagged  bool     // it is of a Compose project, whose file says its tag; the new release has another
}

const (
	frontNet, frontSubnet, frontAddr = "front", "172.30.1.0/24", "172.30.1.77"
	backNet, backSubnet              = "back", "172.30.2.0/24"
	dataVolume                       = "data"
	port                             = "18080"
)

// shapes are all kinds of containers that the campaign knows.
func shapes() []shape {
	policy := func(name container.RestartPolicyMode) container.HostConfig {
		return container.HostConfig{RestartPolicy: container.RestartPolicy{Name: name}}
	}
	no := container.RestartPolicy{Name: "no"}
	named := []mount.Mount{{Type: mount.TypeVolume, Source: dataVolume, Target: "/named"}}
	anonymous := []string{"/anonymous"}
	startFirst := container.Config{Labels: map[string]string{firstLabel: "start-first", "watchdocker.sharedVolumes": "/anonymous"}}
	hooks := container.Config{Labels: map[string]string{"watchdocker.preUpdate": "sleep 0.5", "watchdocker.postUpdate": `["sleep","0.5"]`}}
	return []shape{
		{name: "plain", host: policy("no")},
		{name: "health", host: policy("no"), health: true},
		{name: "always", slow: true, host: policy("always"), volumes: anonymous, data: anonymous},
		{name: "unless-stopped", host: policy("unless-stopped")},
		{name: "volume", host: container.HostConfig{RestartPolicy: no, Mounts: named}, data: []string{"/named"}},
		{name: "port", host: policy("no"), port: port},
		{name: "networks", host: policy("no"), front: true, back: true},
		{name: "stopped", host: policy("unless-stopped"), stopped: true, volumes: anonymous, data: anonymous},
		{name: "rm", slow: true, host: container.HostConfig{RestartPolicy: no, AutoRemove: true}, volumes: anonymous, data: anonymous},
		{name: "rm-everything", host: container.HostConfig{RestartPolicy: no, AutoRemove: true, Mounts: named}, health: true, volumes: anonymous,
			data: []string{"/anonymous", "/named"}, front: true, back: true, port: port},
		{name: "everything", host: container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "always"}, Mounts: named},
			config: container.Config{Hostname: "mine", Labels: map[string]string{"mine": "yes"}, Env: []string{"MINE=yes"}},
			health: true, volumes: anonymous, data: []string{"/anonymous", "/named"}, front: true, back: true, port: port},
		{name: "group", host: policy("no"), front: true, beside: true},
		{name: "start-first", slow: true, host: policy("always"), config: startFirst, health: true, volumes: anonymous, data: anonymous, back: true},
		{name: "hooks", slow: true, host: policy("unless-stopped"), config: hooks, volumes: anonymous, data: anonymous},
		{name: "compose-tag", slow: true, host: policy("unless-stopped"), tagged: true, volumes: anonymous, data: anonymous},
		{name: "compose-tag-broken", host: policy("no"), tagged: true, broken: true},
		{name: "broken", host: policy("unless-stopped"), broken: true, volumes: anonymous, data: anonymous},
		{name: "broken-rm", host: container.HostConfig{RestartPolicy: no, AutoRemove: true}, broken: true, volumes: anonymous, data: anonymous},
	}
}

const firstLabel = "watchdocker.strategy"

// first says whether the new container is started before the old one stops.
func (s shape) first() bool { return s.config.Labels[firstLabel] != "" }

// payload is what an image holds and serves. No two images have a layer for
// themselves in common, so that every pull has something to fetch.
func (s shape) payload(release string) string { return release + " " + s.name }

// image is the old or the new release.
func (s shape) image(release string) testbed.ImageOptions {
	o := testbed.ImageOptions{Payload: s.payload(release), Volumes: s.volumes}
	if s.health {
		o.Healthcheck = &v1.HealthConfig{Test: []string{"CMD", "true"}, Interval: 300 * time.Millisecond, Timeout: 5 * time.Second, Retries: 3}
	}
	if s.slow {
		o.Cmd = []string{"sh", "-c", "trap 'sleep 1; exit 0' TERM; sleep 100000 & wait"}
	}
	if s.port != "" {
		o.Cmd = testbed.Stoppable("httpd", "-f", "-p", "80", "-h", "/")
	}
	if s.broken && release == newRelease {
		o.Cmd = []string{"sh", "-c", "echo out of order; exit 3"}
	}
	return o
}

// side is the container that lives beside, if there is one.
func (s shape) side() string { return s.name + "-side" }

// names are all containers that there must be.
func (s shape) names() []string {
	if s.beside {
		return []string{s.name, s.side()}
	}
	return []string{s.name}
}

const oldRelease, newRelease = "old", "new"

// container is how the user made it.
func (s shape) container(image string) testbed.ContainerSpec {
	config, host := s.config, s.host
	spec := testbed.ContainerSpec{Name: s.name, ExactName: true, Image: image, Config: &config, HostConfig: &host}
	if s.port != "" {
		web := network.MustParsePort("80/tcp")
		host.PortBindings = network.PortMap{web: {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: s.port}}}
		config.ExposedPorts = network.PortSet{web: {}}
	}
	if s.front {
		host.NetworkMode = frontNet
		spec.Networking = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
			frontNet: {Aliases: []string{"app"}, IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: netip.MustParseAddr(frontAddr)}},
		}}
	}
	return spec
}
