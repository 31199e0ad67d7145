package composefile

import (
	"cmp"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/watch-docker/watch-docker/internal/secrets"
)

// note adds a risk at a service's key.
func (c *checker) note(service, code, message string, key ...string) {
	at := c.locate(append([]string{"services", service}, key...)...)
	c.noteAt(service, code, message, at)
}

func (c *checker) noteAt(service, code, message string, at Place) {
	if len(c.report.Notes) < maxNotes {
		c.report.Notes = append(c.report.Notes, Note{Code: code, Message: sentence(message), Service: service, Place: at})
	}
}

// risks looks for what its owner may want to know before starting it.
func (c *checker) risks(p *types.Project) {
	all := p.AllServices()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		c.powers(s)
		c.namespaces(s)
		c.portRisks(s)
		c.care(s)
		c.plainSecrets(s)
	}
	for _, b := range c.report.Binds {
		c.mountRisk(b)
	}
	c.deprecated()
}

// powers are what a container may do to its host.
func (c *checker) powers(s types.ServiceConfig) {
	if s.Privileged {
		c.note(s.Name, "privileged", "It may do everything on the host: privileged is as good as root there.", "privileged")
	}
	for _, capability := range s.CapAdd {
		switch strings.TrimPrefix(strings.ToUpper(capability), "CAP_") {
		case "ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "DAC_READ_SEARCH", "NET_ADMIN", "BPF":
			c.note(s.Name, "capability", "The capability "+capability+" lets it reach into the host.", "cap_add")
		}
	}
	for _, option := range s.SecurityOpt {
		name, value, ok := strings.Cut(option, ":")
		if !ok {
			name, value, _ = strings.Cut(option, "=")
		}
		if value == "unconfined" || name == "label" && value == "disable" {
			c.note(s.Name, "unconfined", "security_opt "+option+" takes a protection of the host away.", "security_opt")
		}
	}
	if len(s.Devices) > 0 || len(s.DeviceCgroupRules) > 0 {
		c.note(s.Name, "devices", "It uses devices of the host.", cmp.Or(map[bool]string{true: "devices"}[len(s.Devices) > 0], "device_cgroup_rules"))
	}
	if s.UseAPISocket {
		c.note(s.Name, "engine_socket", "It may use the engine: whoever gets into it is root on the host.", "use_api_socket")
	}
	if s.Provider != nil {
		c.note(s.Name, "provider", "Compose runs the program "+s.Provider.Type+" for it, outside of any container.", "provider")
	}
}

func (c *checker) namespaces(s types.ServiceConfig) {
	for _, ns := range []struct{ key, value, code, message string }{
		{"network_mode", s.NetworkMode, "host_network", "It uses the host's network: every port that it opens is one of the host's, and it reaches what listens on 127.0.0.1."},
		{"pid", s.Pid, "host_pid", "It sees all processes of the host, and may end those of its user."},
		{"ipc", s.Ipc, "host_ipc", "It shares memory with the host's processes."},
		{"userns_mode", s.UserNSMode, "host_users", "Root in it is root on the host, whatever the engine is set to."},
		{"uts", s.Uts, "host_uts", "It may change the host's name."},
		{"cgroup", s.Cgroup, "host_cgroup", "It sees the host's control groups."},
	} {
		if ns.value == "host" {
			c.note(s.Name, ns.code, ns.message, ns.key)
		}
	}
}

func (c *checker) portRisks(s types.ServiceConfig) {
	var open []string
	for _, p := range s.Ports {
		if p.Published != "" && slices.Contains([]string{"", "0.0.0.0", "::"}, p.HostIP) && !slices.Contains(open, p.Published) {
			open = append(open, p.Published)
		}
	}
	if len(open) > 0 {
		c.note(s.Name, "published_everywhere", "Port "+short(strings.Join(open, ", "))+" is open on all addresses of the host, past most firewalls. Write 127.0.0.1: in front of it if only this host needs it.", "ports")
	}
}

// care is what an owner would wish for some day.
func (c *checker) care(s types.ServiceConfig) {
	if restart(s) == "" {
		c.note(s.Name, "no_restart_policy", "It stays down after the host restarts, or when it fails. If it should run always, add restart: unless-stopped.")
	}
	if s.MemLimit == 0 && (s.Deploy == nil || s.Deploy.Resources.Limits == nil || s.Deploy.Resources.Limits.MemoryBytes == 0) {
		c.note(s.Name, "no_memory_limit", "It may take all of the host's memory. mem_limit bounds it.")
	}
	if s.Image == "" || s.Build != nil || strings.Contains(s.Image, "@") {
		return
	}
	last := s.Image[strings.LastIndex(s.Image, "/")+1:]
	switch _, tag, ok := strings.Cut(last, ":"); {
	case !ok:
		c.note(s.Name, "no_tag", "Its image has no tag and so means latest: a pull may bring a release that is incompatible.", "image")
	case tag == "latest":
		c.note(s.Name, "latest_tag", "The tag latest may be any release: a pull may bring one that is incompatible.", "image")
	}
}

// plainSecrets are passwords in an environment: inspect shows them, and so do
// the logs of many a program.
func (c *checker) plainSecrets(s types.ServiceConfig) {
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		value := s.Environment[name]
		if value == nil || len(c.report.Notes) >= maxNotes || !secrets.Is(name, *value) {
			continue
		}
		at := c.locate("services", s.Name, "environment", name)
		if item := c.locateItem(name, "services", s.Name, "environment"); item != (Place{}) {
			at = item
		}
		c.noteAt(s.Name, "plain_secret", name+" looks like a secret, and everybody who may inspect the container can read it. Where the image takes "+name+"_FILE, use secrets:.", at)
	}
}

// mountRisk looks at what of the host is mounted.
func (c *checker) mountRisk(b Path) {
	if b.Home {
		c.noteAt(b.Service, "home_path", b.Source+" is in the home folder of whoever runs Compose, which is another one under Watch Docker than on your command line. Write the whole path.", b.Place)
		return
	}
	if b.Kind != KindBind && b.Kind != KindVolume {
		return
	}
	source := filepath.Clean(b.Source)
	inOrOf := func(folder string) bool { return source == folder || strings.HasPrefix(source, folder+"/") }
	sockets := []string{"docker.sock", "podman.sock", "containerd.sock", "crio.sock"}
	switch {
	case slices.Contains(sockets, path.Base(source)), slices.Contains(sockets, path.Base(b.Target)):
		c.noteAt(b.Service, "engine_socket", "It may use the engine, also if the socket is mounted read-only: whoever gets into it is root on the host.", b.Place)
	case source == "/":
		c.noteAt(b.Service, "root_mount", "The host's whole file system is mounted.", b.Place)
	case source == "/run", source == "/var/run", source == "/var":
		c.noteAt(b.Service, "engine_socket", "The folder "+source+" holds the engine's socket: whoever gets into it is root on the host.", b.Place)
	case inOrOf("/var/lib/docker"), inOrOf("/var/lib/containerd"):
		c.noteAt(b.Service, "system_mount", "It reaches the engine's own files, "+source+".", b.Place)
	case source == "/etc/localtime", source == "/etc/timezone", source == "/sys/fs/cgroup" && b.ReadOnly: // usual, and harmless
	case inOrOf("/etc"), inOrOf("/proc"), inOrOf("/sys"), inOrOf("/boot"), inOrOf("/root"), inOrOf("/dev"):
		c.noteAt(b.Service, "system_mount", "It reaches files that the host lives by, "+source+".", b.Place)
	}
}

// deprecated are keys that Compose still reads, or ignores.
func (c *checker) deprecated() {
	for _, f := range c.all {
		for _, doc := range f.docs {
			if v := doc.get("version"); v != nil {
				_, at := doc.find([]string{"version"})
				c.noteAt("", "deprecated", "version: says nothing any more. Remove it.", at)
			}
			doc.get("services").each(func(name string, _ Place, s *node) { c.deprecatedKeys(name, s) })
			for _, section := range []string{"volumes", "networks", "secrets", "configs"} {
				doc.get(section).each(func(key string, at Place, r *node) {
					if e := r.get("external"); e != nil && e.kind == yaml.MappingNode {
						c.noteAt("", "deprecated", section+"."+key+": external takes true, and name: stands beside it.", at)
					}
				})
			}
		}
	}
}

func (c *checker) deprecatedKeys(name string, s *node) {
	for key, instead := range map[string]string{
		"links":          "Services of one network reach one another by name already.",
		"external_links": "Put both containers on one network.",
		"volumes_from":   "Name the volumes in both services.",
		"mac_address":    "Write it at the service's network.",
	} {
		if s.get(key) != nil {
			_, at := s.find([]string{key})
			c.noteAt(name, "deprecated", key+": is obsolete. "+instead, at)
		}
	}
	if s.get("container_name") != nil {
		_, at := s.find([]string{"container_name"})
		if s.get("scale") != nil || s.get("deploy", "replicas") != nil {
			c.noteAt(name, "container_name", "With container_name there can be one container only; scale and replicas have no room.", at)
		}
	}
}
