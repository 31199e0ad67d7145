package dockercli

import (
	"maps"
	"slices"
	"strings"
)

// Exclusive is what a running container has, by its user's choice, that no
// second one like it could have at the same time.
type Exclusive struct {
	Ports     []string // that it publishes: "8080:80/tcp", "80/tcp" on a port that the engine chooses, "all" with -P
	Addresses []string // that were chosen for it: "10.1.2.3 in network front"
	MACs      []string // likewise
	Network   string   // "host", or "container:…" if it lives in another one's network
}

// Exclusive tells what two containers of this blueprint can't both have.
func (b Blueprint) Exclusive() Exclusive {
	var e Exclusive
	bindings := read[map[string][]struct{ HostIp, HostPort string }](b.Inspect.HostConfig, "PortBindings") //nolint:revive // as the engine spells it
	for _, port := range slices.Sorted(maps.Keys(bindings)) {
		if len(bindings[port]) == 0 {
			e.Ports = append(e.Ports, port)
		}
		for _, at := range bindings[port] {
			e.Ports = append(e.Ports, strings.TrimPrefix(strings.Trim(at.HostIp+":"+at.HostPort, ":")+":"+port, ":"))
		}
	}
	if read[bool](b.Inspect.HostConfig, "PublishAllPorts") {
		e.Ports = append(e.Ports, "all")
	}
	for _, name := range slices.Sorted(maps.Keys(b.Inspect.Networks)) {
		endpoint := b.Inspect.Networks[name]
		if !givenBySwarm(endpoint) {
			asked := read[struct {
				IPv4Address, IPv6Address string
				LinkLocalIPs             []string
			}](endpoint, "IPAMConfig")
			for _, address := range append([]string{asked.IPv4Address, asked.IPv6Address}, asked.LinkLocalIPs...) {
				if address != "" {
					e.Addresses = append(e.Addresses, address+" in network "+name)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.Inspect.MACs)) {
		e.MACs = append(e.MACs, b.Inspect.MACs[name]+" in network "+name)
	}
	if b.NetworkMode == "host" || strings.HasPrefix(b.NetworkMode, "container:") {
		e.Network = b.NetworkMode
	}
	return e
}

// Shared are the mounts that a second container like this one would write to
// as well.
func (b Blueprint) Shared() []Mount {
	return slices.DeleteFunc(slices.Clone(b.Mounts), func(m Mount) bool { return m.ReadOnly || m.Type == "tmpfs" || m.Type == "image" })
}
