package dockercli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/runspec"
)

// defaultShm is the engine's size of /dev/shm, which an inspect shows for
// whoever asked for none.
const defaultShm = 64 << 20

// RunSpec tells how a container was run: what its image gives and what the
// engine does by itself are left out. It holds the container's secrets. Two
// requests more than Blueprint, and one for each container that it names by id.
//
// Errors: ErrNotFound, ErrSwarmTask, ErrUnavailable.
func (c *Client) RunSpec(ctx context.Context, id string) (runspec.Container, error) {
	b, err := c.Blueprint(ctx, id)
	if err != nil {
		return runspec.Container{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	doing := "tell how container " + b.Name + " was run"
	var config container.Config
	var host container.HostConfig
	if err := into(b.withoutDefaults(), &config); err != nil {
		return runspec.Container{}, fmt.Errorf("%s: %w", doing, err)
	}
	if err := into(b.Inspect.HostConfig, &host); err != nil {
		return runspec.Container{}, fmt.Errorf("%s: %w", doing, err)
	}
	info, err := c.sdk().Info(ctx, client.InfoOptions{})
	if err != nil {
		return runspec.Container{}, c.wrap(doing, err)
	}
	own, err := c.ownPlatform(ctx)
	if err != nil {
		return runspec.Container{}, c.wrap(doing, err)
	}
	r := runspec.Container{Name: b.Name, Image: b.ImageRef, AutoRemove: b.AutoRemove}
	if p := foreign(b.Platform, own); p.OS != "" {
		r.Platform = p.String()
	}
	if b.ImageGone {
		r.Unsaid = append(r.Unsaid, "what its image gave it: that image is gone, and so its settings stand in the file as if they were yours, which")
	}
	ownConfig(&r, config)
	ownHost(&r, host, defaultsOf(info.Info.LoggingDriver, info.Info.DefaultRuntime, info.Info.CgroupVersion))
	userMounts(&r, b, host)
	c.ownNetworks(&r, b, config, host)
	c.nameNamespaces(ctx, &r)
	return r, nil
}

func into(from fields, to any) error {
	raw, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, to)
}

// engineDefaults are what an inspect shows of a container that asked for none.
type engineDefaults struct{ log, runtime, cgroup string }

func defaultsOf(log, runtime, cgroupVersion string) engineDefaults {
	d := engineDefaults{log: log, runtime: runtime, cgroup: "private"}
	if cgroupVersion == "1" {
		d.cgroup = "host"
	}
	return d
}

func ownConfig(r *runspec.Container, cfg container.Config) {
	r.Command, r.Entrypoint, r.Env = cfg.Cmd, cfg.Entrypoint, cfg.Env
	r.Labels, r.User, r.WorkingDir = cfg.Labels, cfg.User, cfg.WorkingDir
	r.Hostname, r.Domain, r.StopSignal = cfg.Hostname, cfg.Domainname, cfg.StopSignal
	r.Terminal, r.Input = cfg.Tty, cfg.OpenStdin
	if cfg.StopTimeout != nil {
		timeout := time.Duration(*cfg.StopTimeout) * time.Second
		r.StopTimeout = &timeout
	}
	if h := cfg.Healthcheck; h != nil {
		r.Health = &runspec.Health{
			Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, StartedInterval: h.StartInterval, Retries: h.Retries,
		}
		if len(h.Test) > 0 && h.Test[0] == "NONE" {
			r.Health = &runspec.Health{Disabled: true}
		} else if len(h.Test) > 0 {
			r.Health.Test = h.Test
		}
	}
}

func ownHost(r *runspec.Container, h container.HostConfig, d engineDefaults) {
	if p := h.RestartPolicy; p.Name != "no" {
		r.Restart = string(p.Name)
		if p.MaximumRetryCount > 0 {
			r.Restart = fmt.Sprintf("%s:%d", p.Name, p.MaximumRetryCount)
		}
	}
	r.Privileged, r.ReadOnly, r.Init = h.Privileged, h.ReadonlyRootfs, h.Init
	r.CapAdd, r.CapDrop, r.Groups, r.SecurityOptions = h.CapAdd, h.CapDrop, h.GroupAdd, h.SecurityOpt
	if !h.Privileged && h.MaskedPaths != nil && len(h.MaskedPaths) == 0 {
		r.SecurityOptions = append(slices.Clone(r.SecurityOptions), "systempaths=unconfined")
	}
	r.DNSSearch, r.DNSOptions, r.ExtraHosts = h.DNSSearch, h.DNSOptions, h.ExtraHosts
	for _, address := range h.DNS {
		r.DNS = append(r.DNS, address.String())
	}
	r.Pid, r.Uts, r.UserNS = string(h.PidMode), string(h.UTSMode), string(h.UsernsMode)
	if h.IpcMode != "private" {
		r.Ipc = string(h.IpcMode)
	}
	if string(h.CgroupnsMode) != d.cgroup {
		r.CgroupNS = string(h.CgroupnsMode)
	}
	if h.Runtime != d.runtime {
		r.Runtime = h.Runtime
	}
	r.CgroupParent, r.Sysctls, r.StorageOptions, r.Annotations = h.CgroupParent, h.Sysctls, h.StorageOpt, h.Annotations
	if h.LogConfig.Type != d.log || len(h.LogConfig.Config) > 0 {
		r.LogDriver, r.LogOptions = h.LogConfig.Type, h.LogConfig.Config
	}
	ownDevices(r, h)
	ownLimits(r, h)
}

func ownDevices(r *runspec.Container, h container.HostConfig) {
	for _, d := range h.Devices {
		r.Devices = append(r.Devices, d.PathOnHost+":"+d.PathInContainer+":"+d.CgroupPermissions)
	}
	r.DeviceRules = h.DeviceCgroupRules
	for _, d := range h.DeviceRequests {
		request := runspec.DeviceRequest{Driver: d.Driver, Count: d.Count, IDs: d.DeviceIDs, Options: d.Options}
		if len(d.Capabilities) > 0 {
			request.Capabilities = d.Capabilities[0]
		}
		if len(d.Capabilities) > 1 {
			r.Unsaid = append(r.Unsaid, "a choice between capabilities of a GPU")
		}
		r.DeviceRequests = append(r.DeviceRequests, request)
	}
}

func ownLimits(r *runspec.Container, h container.HostConfig) {
	r.Limits = runspec.Limits{
		Memory: h.Memory, MemoryReservation: h.MemoryReservation, MemorySwap: h.MemorySwap, Swappiness: h.MemorySwappiness,
		CPUs: float64(h.NanoCPUs) / 1e9, CPUShares: h.CPUShares, CPUPeriod: h.CPUPeriod, CPUQuota: h.CPUQuota, CPUSet: h.CpusetCpus,
		OOMScore: int64(h.OomScoreAdj), NoOOMKill: h.OomKillDisable != nil && *h.OomKillDisable,
	}
	if s := h.MemorySwappiness; s != nil && *s < 0 {
		r.Limits.Swappiness = nil // not asked for
	}
	if h.ShmSize != defaultShm {
		r.Limits.Shm = h.ShmSize
	}
	if h.PidsLimit != nil {
		r.Limits.Pids = *h.PidsLimit
	}
	for _, u := range h.Ulimits {
		r.Ulimits = append(r.Ulimits, runspec.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	for what, asked := range map[string]bool{
		"the limits of block devices":       h.BlkioWeight > 0 || len(h.BlkioDeviceReadBps)+len(h.BlkioDeviceWriteBps)+len(h.BlkioDeviceReadIOps)+len(h.BlkioDeviceWriteIOps)+len(h.BlkioWeightDevice) > 0,
		"the memory nodes " + h.CpusetMems:  h.CpusetMems != "",
		"the processor time of real-time":   h.CPURealtimePeriod > 0 || h.CPURealtimeRuntime > 0,
		"the file for the container's id":   h.ContainerIDFile != "",
		"the umask that the engine gave it": h.Umask != nil,
	} {
		if asked {
			r.Unsaid = append(r.Unsaid, what)
		}
	}
	slices.Sort(r.Unsaid)
}

// userMounts: what the user mounted, and each volume that the engine named, so
// that its data stays.
func userMounts(r *runspec.Container, b Blueprint, h container.HostConfig) {
	places := map[string]bool{}
	for _, bind := range h.Binds {
		if source, place := cutBind(bind); source != "" {
			r.Binds, places[place] = append(r.Binds, bind), true
		}
	}
	for _, m := range h.Mounts {
		if m.Type == "volume" && m.Source == "" {
			continue
		}
		places[m.Target] = true
		mount := runspec.Mount{Type: string(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
		if o := m.BindOptions; o != nil {
			mount.Propagation, mount.CreateHostPath = string(o.Propagation), o.CreateMountpoint
			if o.NonRecursive || o.ReadOnlyNonRecursive || o.ReadOnlyForceRecursive {
				r.Unsaid = append(r.Unsaid, "how deep "+m.Target+" is bound")
			}
		}
		if o := m.VolumeOptions; o != nil {
			mount.NoCopy, mount.SubPath = o.NoCopy, o.Subpath
		}
		if o := m.TmpfsOptions; o != nil {
			mount.Size, mount.Mode = o.SizeBytes, uint32(o.Mode)
		}
		if o := m.ImageOptions; o != nil {
			mount.SubPath = o.Subpath
		}
		r.Mounts = append(r.Mounts, mount)
	}
	for _, m := range b.Mounts {
		if m.Type == "volume" && m.Anonymous && m.Name != "" && !places[m.Destination] {
			r.Mounts = append(r.Mounts, runspec.Mount{Type: "volume", Source: m.Name, Target: m.Destination, ReadOnly: m.ReadOnly, Anonymous: true})
		}
	}
	r.Tmpfs, r.VolumesFrom = h.Tmpfs, h.VolumesFrom
}

func (c *Client) ownNetworks(r *runspec.Container, b Blueprint, cfg container.Config, h container.HostConfig) {
	for port, bindings := range h.PortBindings {
		for _, p := range bindings {
			address := ""
			if p.HostIP.IsValid() {
				address = p.HostIP.String()
			}
			r.Ports = append(r.Ports, runspec.Port{Address: address, Host: p.HostPort, Container: port.String()})
		}
	}
	slices.SortFunc(r.Ports, func(a, b runspec.Port) int {
		return strings.Compare(a.Container+a.Address+a.Host, b.Container+b.Address+b.Host)
	})
	for port := range cfg.ExposedPorts {
		if _, published := h.PortBindings[port]; !published {
			r.Expose = append(r.Expose, port.String())
		}
	}
	slices.Sort(r.Expose)
	r.AllPorts = h.PublishAllPorts
	for _, l := range h.Links {
		r.Links = append(r.Links, takenLink(l))
	}
	slices.Sort(r.Links)
	main := b.mainNetwork()
	if main == "bridge" || main == "host" || main == "none" || strings.HasPrefix(main, "container:") {
		r.NetworkMode = main
		if len(b.Networks) > 1 {
			r.Unsaid = append(r.Unsaid, "that it is on the network "+main+" and on others besides")
		}
		if b.Inspect.MACs[main] != "" {
			r.Unsaid = append(r.Unsaid, "the hardware address "+b.Inspect.MACs[main]+" on the network "+main)
		}
		return
	}
	for _, name := range slices.Sorted(maps.Keys(b.Inspect.Networks)) {
		if name == "bridge" {
			r.Unsaid = append(r.Unsaid, "that it is on the network bridge besides others")
			continue
		}
		r.Networks = append(r.Networks, c.ownNetwork(b, name))
	}
}

func (c *Client) ownNetwork(b Blueprint, name string) runspec.Network {
	e := b.endpoint(name, c.sdk().ClientVersion())
	n := runspec.Network{Name: name, MAC: b.Inspect.MACs[name], DriverOptions: read[map[string]string](e, "DriverOpts"), GatewayPriority: read[int](e, "GwPriority")}
	ipam := read[struct {
		IPv4Address, IPv6Address string
		LinkLocalIPs             []string
	}](e, "IPAMConfig")
	n.IPv4, n.IPv6, n.LinkLocal = ipam.IPv4Address, ipam.IPv6Address, ipam.LinkLocalIPs
	for _, alias := range read[[]string](e, "Aliases") {
		if alias != b.Name && alias != b.Labels[composeServiceLabel] { // Compose gives these itself
			n.Aliases = append(n.Aliases, alias)
		}
	}
	return n
}

// nameNamespaces puts names in place of ids: an id is gone with its container.
func (c *Client) nameNamespaces(ctx context.Context, r *runspec.Container) {
	name := func(id string) string {
		res, err := c.sdk().ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if err != nil {
			return id // gone: the warning about it names what there is
		}
		return strings.TrimPrefix(res.Container.Name, "/")
	}
	for _, mode := range []*string{&r.NetworkMode, &r.Pid, &r.Ipc} {
		if id, ok := strings.CutPrefix(*mode, "container:"); ok {
			*mode = "container:" + name(id)
		}
	}
	for i, v := range r.VolumesFrom {
		id, mode, _ := strings.Cut(v, ":")
		r.VolumesFrom[i] = strings.TrimSuffix(name(id)+":"+mode, ":")
	}
}
