package compose_test

import (
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// A testCase is a Compose project, all of whose containers are updated.
type testCase struct {
	name   string
	file   string
	files  map[string]string
	images map[string]testbed.ImageOptions // by name; nil: a plain one called app
	later  map[string]testbed.ImageOptions // of the releases after the first, if others
	fixed  string                          // an image that gets no new releases
	args   []string                        // of docker compose, before its command
	index  []string                        // releases, of "one", "two" and "bad", that are an index of platforms
}

func checked(command string) *v1.HealthConfig {
	return &v1.HealthConfig{Test: []string{"CMD-SHELL", command}, Interval: 300 * time.Millisecond, Timeout: 20 * time.Second, Retries: 3}
}

// named are plain images.
func named(names ...string) map[string]testbed.ImageOptions {
	images := map[string]testbed.ImageOptions{}
	for _, name := range names {
		images[name] = testbed.ImageOptions{}
	}
	return images
}

func cases() []testCase {
	return []testCase{
		{name: "plain", file: `
services:
  app:
    image: OUR/app
`},
		{name: "platform", file: `
services:
  app:
    image: OUR/app
    platform: linux/amd64
`},
		{name: "index", index: []string{"one", "two", "bad"}, file: `
services:
  app:
    image: OUR/app
  pinned:
    image: OUR/app
    platform: linux/amd64
`},
		{name: "foreign-platform", index: []string{"one", "two", "bad"}, file: `
services:
  app:
    image: OUR/app
    platform: linux/arm64
`},
		{name: "becomes-index", index: []string{"two"}, file: `
services:
  app:
    image: OUR/app
  pinned:
    image: OUR/app
    platform: linux/amd64
`},
		{name: "ceases-index", index: []string{"one", "bad"}, file: `
services:
  app:
    image: OUR/app
  pinned:
    image: OUR/app
    platform: linux/amd64
`},
		{name: "built-by-compose", file: `
services:
  app:
    image: OUR/app
`, images: map[string]testbed.ImageOptions{"app": {Labels: map[string]string{
			"com.docker.compose.project": "built-by-compose", "com.docker.compose.service": "app", "com.docker.compose.version": "5.5.1",
			"com.docker.compose.image.builder": "classic", "vendor": "one",
		}}}, later: map[string]testbed.ImageOptions{"app": {Labels: map[string]string{"com.docker.compose.service": "other"}}}},
		{name: "healthcheck", file: `
services:
  images-own:
    image: OUR/checked
  overridden:
    image: OUR/checked
    healthcheck:
      test: ["CMD", "true"]
      interval: 1s
  disabled:
    image: OUR/checked
    healthcheck:
      disable: true
  added:
    image: OUR/plain
    healthcheck:
      test: ["CMD-SHELL", "test -e /payload"]
      interval: 500ms
      retries: 5
`, images: map[string]testbed.ImageOptions{"checked": {Healthcheck: checked("true")}, "plain": {}}},
		{name: "networks", file: `
services:
  app:
    image: OUR/app
    networks:
      front:
        aliases: [web, www]
        ipv4_address: 10.77.1.10
      back:
        aliases: [db-client]
        priority: 100
      default:
networks:
  front:
    ipam:
      config:
        - subnet: 10.77.1.0/24
  back:
    internal: true
`},
		{name: "network-modes", file: `
services:
  host:
    image: OUR/app
    network_mode: host
  none:
    image: OUR/app
    network_mode: none
  bridge:
    image: OUR/app
    network_mode: bridge
    mac_address: 02:42:ac:11:65:43
`},
		{name: "volumes", file: `
services:
  app:
    image: OUR/app
    volumes:
      - named:/named
      - /anonymous
      - ./bound:/bound:ro
      - type: tmpfs
        target: /scratch
      - type: volume
        source: named
        target: /again
        read_only: true
    tmpfs: /tmp
volumes:
  named:
    labels:
      tier: gold
`, files: map[string]string{"bound": "a file"},
			images: map[string]testbed.ImageOptions{"app": {Volumes: []string{"/declared", "/anonymous"}}}},
		{name: "environment", file: `
services:
  app:
    image: OUR/app
    env_file: app.env
    environment:
      MODE: production
      FROM_ENV: ${FROM_DOT_ENV}
    command: ["sh", "-c", "trap 'exit 0' TERM; grep -q bad /payload && exit 3; while :; do sleep 1000 & wait; done"]
    working_dir: /tmp
    user: nobody
    init: true
    stop_signal: SIGTERM
    stop_grace_period: 3s
    x-note: an extension
    labels:
      com.example.app: "yes"
      watchdocker.stopTimeout: 2s
`, files: map[string]string{"app.env": "LEVEL=debug\nQUOTED=\"a b\"\n", ".env": "FROM_DOT_ENV=dotted\n"},
			images: map[string]testbed.ImageOptions{"app": {Env: []string{"MODE=image", "LEFT=1"}, Labels: map[string]string{"vendor": "ours"}}}},
		{name: "configs", file: `
services:
  app:
    image: OUR/app
    configs:
      - source: settings
        target: /settings.ini
      - inline
    secrets:
      - key
configs:
  settings:
    file: settings.ini
  inline:
    content: |
      inline = true
secrets:
  key:
    file: key.txt
`, files: map[string]string{"settings.ini": "a=1\n", "key.txt": "hush"}},
		{name: "settings", file: `
services:
  app:
    image: OUR/app
    hostname: box
    domainname: example.test
    container_name: settings-by-name
    ports:
      - "127.0.0.1:18080:80"
      - "443"
    expose: ["9000"]
    restart: on-failure:3
    read_only: true
    cap_add: [NET_ADMIN]
    cap_drop: [MKNOD]
    security_opt: ["no-new-privileges:true"]
    sysctls:
      net.ipv4.ip_unprivileged_port_start: "80"
    ulimits:
      nofile:
        soft: 1000
        hard: 2000
    extra_hosts: ["elsewhere:10.1.2.3"]
    dns: [10.9.9.9]
    shm_size: 32m
    logging:
      driver: json-file
      options:
        max-size: 1m
    deploy:
      resources:
        limits:
          memory: 64M
          cpus: "0.5"
        reservations:
          memory: 16M
`, images: map[string]testbed.ImageOptions{"app": {ExposedPorts: []string{"8000/tcp"}, StopSignal: "SIGTERM"}}},
		{name: "restart", file: `
services:
  always:
    image: OUR/app
    restart: always
  unless-stopped:
    image: OUR/app
    restart: unless-stopped
  never:
    image: OUR/app
    restart: "no"
  by-deploy:
    image: OUR/app
    deploy:
      restart_policy:
        condition: on-failure
        max_attempts: 2
`},
		{name: "scale", file: `
services:
  app:
    image: OUR/app
    scale: 2
  replicated:
    image: OUR/app
    deploy:
      replicas: 2
`},
		{name: "depends", file: `
services:
  db:
    image: OUR/db
    healthcheck:
      test: ["CMD", "true"]
      interval: 500ms
  init:
    image: OUR/db
    command: ["sleep", "100000"]
    init: true
  app:
    image: OUR/app
    depends_on:
      db:
        condition: service_healthy
      init:
        condition: service_started
        required: false
  restarted:
    image: OUR/app
    depends_on:
      db:
        condition: service_healthy
        restart: true
`, images: named("db", "app")},
		{name: "links", file: `
services:
  db:
    image: OUR/db
  app:
    image: OUR/app
    links: ["db:database"]
    external_links: ["links-db-1:legacy"]
`, images: named("db", "app")},
		{name: "sharing", fixed: "x", images: named("x", "app"), file: `
services:
  x:
    image: OUR/x
    ipc: shareable
    volumes: [/data]
  net:
    image: OUR/app
    network_mode: service:x
  ipc:
    image: OUR/app
    ipc: service:x
  pid:
    image: OUR/app
    pid: service:x
  files:
    image: OUR/app
    volumes_from: [x]
`},
		{name: "profiles", args: []string{"--profile", "extra"}, file: `
services:
  app:
    image: OUR/app
  extra:
    image: OUR/app
    profiles: [extra]
    annotations:
      note: "kept"
`},
	}
}
