package composefile

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/watch-docker/watch-docker/internal/runspec"
)

// reach is how others reach a container, and it them.
func (c *converter) reach(s object, r runspec.Container) {
	var ports []string
	for _, p := range r.Ports {
		ports = append(ports, portText(p))
	}
	s.set("ports", ports)
	if r.AllPorts {
		c.warn(r, "it publishes every exposed port on a port that the engine chooses (-P): list those that are needed under ports:")
	}
	s.set("expose", r.Expose)
	s.set("network_mode", c.namespace(r, r.NetworkMode))
	s.set("networks", c.networksOf(r))
	var inside, outside []string
	for _, link := range r.Links {
		peer, alias, _ := strings.Cut(link, ":")
		if service, ok := c.names[peer]; ok {
			inside = append(inside, service+":"+alias)
		} else {
			outside = append(outside, link)
		}
	}
	s.set("links", inside)
	s.set("external_links", outside)
	s.set("dns", r.DNS)
	s.set("dns_search", r.DNSSearch)
	s.set("dns_opt", r.DNSOptions)
	s.set("extra_hosts", r.ExtraHosts)
}

func portText(p runspec.Port) string {
	out := p.Container
	out = strings.TrimSuffix(out, "/tcp")
	host := p.Host
	if host == "0" {
		host = ""
	}
	switch {
	case strings.Contains(p.Address, ":"):
		return "[" + p.Address + "]:" + host + ":" + out
	case p.Address != "":
		return p.Address + ":" + host + ":" + out
	case host != "":
		return host + ":" + out
	}
	return out
}

// namespace names another container by its service, if it is one of these.
func (c *converter) namespace(r runspec.Container, mode string) string {
	peer, ok := strings.CutPrefix(mode, "container:")
	if !ok {
		return mode
	}
	if service, ours := c.names[peer]; ours {
		return "service:" + service
	}
	c.warn(r, "it lives in the namespace of %s, which isn't part of this project: that must run before it", peer)
	return mode
}

// networksOf are those that it is on; all exist already.
func (c *converter) networksOf(r runspec.Container) object {
	o := newObject()
	for _, n := range r.Networks {
		name := c.declare(c.networks, "network", n.Name, n.Name)
		settings := newObject()
		settings.set("aliases", n.Aliases)
		settings.set("ipv4_address", n.IPv4)
		settings.set("ipv6_address", n.IPv6)
		settings.set("link_local_ips", n.LinkLocal)
		settings.set("mac_address", n.MAC)
		settings.set("driver_opts", c.settings(r, n.DriverOptions))
		settings.set("gw_priority", int64(n.GatewayPriority))
		if len(settings.n.Content) == 0 {
			o.n.Content = append(o.n.Content, plainKey(name), encode(map[string]any{}))
			continue
		}
		o.set(name, settings)
	}
	return o
}

// declare adds an external volume or network once, and gives its key.
func (c *converter) declare(section object, kind, wish, name string) string {
	wish = strings.Trim(notName.ReplaceAllString(wish, "-"), "-._")
	if wish == "" {
		wish = kind
	}
	id := wish
	for i := 2; c.declared[kind+" "+id] && !c.declared[kind+" "+id+"="+name]; i++ {
		id = wish + "-" + strconv.Itoa(i)
	}
	if !c.declared[kind+" "+id] {
		c.declared[kind+" "+id], c.declared[kind+" "+id+"="+name] = true, true
		o := newObject()
		o.set("name", name)
		o.set("external", true)
		section.set(id, o)
	}
	return id
}

// storage is what is mounted. Data stays where it is: every volume is the one
// that exists.
func (c *converter) storage(s object, r runspec.Container) {
	var all []any
	for _, bind := range r.Binds {
		source, rest, ok := strings.Cut(bind, ":")
		if ok && !strings.HasPrefix(source, "/") {
			source = c.declare(c.volumes, "volume", source, source)
		}
		if ok {
			bind = source + ":" + rest
		}
		all = append(all, bind)
	}
	for _, m := range r.Mounts {
		all = append(all, c.mount(r, m))
	}
	s.set("volumes", all)
	var tmpfs []string
	for _, place := range slices.Sorted(maps.Keys(r.Tmpfs)) {
		tmpfs = append(tmpfs, strings.TrimSuffix(place+":"+r.Tmpfs[place], ":"))
	}
	s.set("tmpfs", tmpfs)
	var from []string
	for _, v := range r.VolumesFrom {
		peer, mode, _ := strings.Cut(v, ":")
		if service, ok := c.names[peer]; ok {
			peer = service
		} else {
			c.warn(r, "it uses the volumes of %s, which isn't part of this project: that must exist before it", peer)
			peer = "container:" + peer
		}
		from = append(from, strings.TrimSuffix(peer+":"+mode, ":"))
	}
	s.set("volumes_from", from)
	s.set("storage_opt", c.settings(r, r.StorageOptions))
}

func (c *converter) mount(r runspec.Container, m runspec.Mount) object {
	o := newObject()
	o.set("type", m.Type)
	switch m.Type {
	case "volume":
		wish := m.Source
		if m.Anonymous {
			wish = c.names[r.Name] + "-" + path.Base(m.Target)
			c.warn(r, "%s has a volume without a name; the file names it, so that its data stays", m.Target)
		}
		o.set("source", c.declare(c.volumes, "volume", wish, m.Source))
	default:
		o.set("source", m.Source)
	}
	o.set("target", m.Target)
	o.set("read_only", m.ReadOnly)
	more := newObject()
	switch m.Type {
	case "bind":
		more.set("propagation", m.Propagation)
		more.n.Content = append(more.n.Content, plainKey("create_host_path"), encode(&m.CreateHostPath))
	case "volume":
		more.set("nocopy", m.NoCopy)
		more.set("subpath", m.SubPath)
	case "image":
		more.set("subpath", m.SubPath)
	case "tmpfs":
		more.set("size", m.Size)
		more.set("mode", int64(m.Mode))
	}
	o.set(m.Type, more)
	return o
}

// life is how it starts, is looked after and ends.
func (c *converter) life(s object, r runspec.Container) {
	s.set("init", r.Init)
	s.set("tty", r.Terminal)
	s.set("stdin_open", r.Input)
	s.set("stop_signal", r.StopSignal)
	if r.StopTimeout != nil {
		if *r.StopTimeout < 0 {
			c.warn(r, "it is given all the time it takes to stop; Compose needs a time: see stop_grace_period")
		} else {
			s.n.Content = append(s.n.Content, plainKey("stop_grace_period"), text(r.StopTimeout.String()))
		}
	}
	if h := r.Health; h != nil {
		o := newObject()
		o.set("disable", h.Disabled)
		o.set("test", c.words(r, h.Test))
		for _, d := range []struct {
			key string
			is  time.Duration
		}{{"interval", h.Interval}, {"timeout", h.Timeout}, {"start_period", h.StartPeriod}, {"start_interval", h.StartedInterval}} {
			if d.is != 0 {
				o.set(d.key, d.is.String())
			}
		}
		o.set("retries", int64(h.Retries))
		s.set("healthcheck", o)
	}
	logging := newObject()
	logging.set("driver", r.LogDriver)
	logging.set("options", c.settings(r, r.LogOptions))
	s.set("logging", logging)
}

// rights are what it may do.
func (c *converter) rights(s object, r runspec.Container) {
	s.set("privileged", r.Privileged)
	s.set("read_only", r.ReadOnly)
	s.set("cap_add", r.CapAdd)
	s.set("cap_drop", r.CapDrop)
	s.set("group_add", r.Groups)
	s.set("security_opt", r.SecurityOptions)
	s.set("devices", r.Devices)
	s.set("device_cgroup_rules", r.DeviceRules)
	c.gpus(s, r)
	s.set("pid", c.namespace(r, r.Pid))
	s.set("ipc", c.namespace(r, r.Ipc))
	s.set("uts", r.Uts)
	s.set("userns_mode", r.UserNS)
	s.set("cgroup", r.CgroupNS)
	s.set("cgroup_parent", r.CgroupParent)
	s.set("runtime", r.Runtime)
	s.set("sysctls", r.Sysctls)
	s.set("annotations", c.settings(r, r.Annotations))
}

// gpus writes device requests: Compose asks for a gpu itself under gpus:, and
// for nothing but what is written under deploy:.
func (c *converter) gpus(s object, r runspec.Container) {
	var gpus, others []object
	for _, d := range r.DeviceRequests {
		o := newObject()
		o.set("driver", d.Driver)
		isGPU := slices.Contains(d.Capabilities, "gpu")
		if isGPU {
			o.set("capabilities", slices.DeleteFunc(slices.Clone(d.Capabilities), func(s string) bool { return s == "gpu" }))
		} else {
			o.set("capabilities", d.Capabilities)
		}
		o.set("device_ids", d.IDs)
		switch {
		case d.Count < 0:
			o.set("count", "all")
		case len(d.IDs) == 0:
			o.set("count", int64(d.Count))
		}
		o.set("options", c.settings(r, d.Options))
		if isGPU {
			gpus = append(gpus, o)
		} else {
			others = append(others, o)
		}
	}
	s.set("gpus", gpus)
	devices, reservations, deploy := newObject(), newObject(), newObject()
	devices.set("devices", others)
	if m := r.Limits.MemoryReservation; m > 0 && len(others) > 0 { // both places must say it, or Compose refuses
		devices.set("memory", strconv.FormatInt(m, 10))
	}
	reservations.set("reservations", devices)
	deploy.set("resources", reservations)
	s.set("deploy", deploy)
}

func (c *converter) limits(s object, r runspec.Container) {
	l := r.Limits
	s.set("mem_limit", l.Memory)
	s.set("mem_reservation", l.MemoryReservation)
	if l.MemorySwap != 0 && l.MemorySwap != 2*l.Memory { // twice is what the engine makes of no wish
		s.set("memswap_limit", l.MemorySwap)
	}
	if l.Swappiness != nil {
		s.set("mem_swappiness", *l.Swappiness)
	}
	s.set("shm_size", l.Shm)
	if l.CPUs != 0 {
		s.set("cpus", l.CPUs)
	}
	s.set("cpu_shares", l.CPUShares)
	s.set("cpu_period", l.CPUPeriod)
	s.set("cpu_quota", l.CPUQuota)
	s.set("cpuset", l.CPUSet)
	s.set("pids_limit", l.Pids)
	s.set("oom_score_adj", l.OOMScore)
	s.set("oom_kill_disable", l.NoOOMKill)
	ulimits := newObject()
	for _, u := range r.Ulimits {
		if u.Soft == u.Hard {
			ulimits.n.Content = append(ulimits.n.Content, plainKey(u.Name), encode(int(u.Soft)))
			continue
		}
		o := newObject()
		o.n.Content = append(o.n.Content, plainKey("soft"), encode(int(u.Soft)), plainKey("hard"), encode(int(u.Hard)))
		ulimits.set(u.Name, o)
	}
	s.set("ulimits", ulimits)
}
