package dockercli

import (
	"context"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
)

const (
	// severalAPI: from here on a create takes several networks, and each has its own MAC address.
	severalAPI = "1.44"
	// aliasesAPI: from here on an inspect shows the aliases that the user set alone.
	aliasesAPI = "1.45"
	// randomMACAPI: from here on addresses made up are random; before, they were 02:42 and the IPv4 address.
	randomMACAPI = "1.48"
	// lastMACAPI is the last version whose inspect shows the MAC address that the user set.
	lastMACAPI = "1.51"
)

// addMACs finds out which MAC addresses the user set.
//
// The engine shows the one of the main network as Config.MacAddress, up to
// API 1.51. For the other networks (API 1.44 on) it shows only what is in
// use: there an address that the engine can't have made up is the user's. A
// locally administered one on a further network of a running container, on an
// engine that makes up random ones (28 and newer), can't be recognised.
func (c *Client) addMACs(ctx context.Context, b *Blueprint, r container.InspectResponse) error {
	version := c.sdk().ClientVersion()
	main, macs := b.mainNetwork(), map[string]string{}
	mac := read[string](b.Inspect.Config, "MacAddress")
	mode := r.HostConfig.NetworkMode
	if atLeast(version, lastMACAPI) && version != lastMACAPI && (mode.IsUserDefined() || main == "bridge") {
		var old struct{ Config fields }
		if err := c.call(ctx, http.MethodGet, lastMACAPI, "/containers/"+b.ID+"/json", nil, nil, &old); err != nil {
			return err
		}
		mac = read[string](old.Config, "MacAddress")
	}
	if mac != "" {
		macs[main] = mac
	}
	if atLeast(version, severalAPI) {
		never := r.State != nil && engineTime(r.State.StartedAt).IsZero()
		for name, endpoint := range b.Inspect.Networks {
			if name != main && (never || !mayBeMadeUp(endpoint, version)) {
				if mac := read[string](endpoint, "MacAddress"); mac != "" {
					macs[name] = mac
				}
			}
		}
	}
	b.Inspect.MACs = macs
	delete(b.Inspect.Config, "MacAddress")
	return nil
}

// mayBeMadeUp says whether the engine could have chosen this address itself.
func mayBeMadeUp(endpoint fields, version string) bool {
	mac, err := net.ParseMAC(read[string](endpoint, "MacAddress"))
	if err != nil || len(mac) != 6 {
		return true
	}
	ip, err := netip.ParseAddr(read[string](endpoint, "IPAddress"))
	if err == nil && ip.Is4() && !atLeast(version, randomMACAPI) {
		four := ip.As4()
		return slices.Equal(mac, append([]byte{0x02, 0x42}, four[:]...))
	}
	return mac[0]&0x02 != 0
}

// mainNetwork is the network that NetworkMode means, by its name; it need not
// be among those that the container is on.
func (b Blueprint) mainNetwork() string {
	mode := b.NetworkMode
	if mode == "" || mode == "default" {
		return "bridge"
	}
	if _, ok := b.Inspect.Networks[mode]; ok {
		return mode
	}
	for name, endpoint := range b.Inspect.Networks { // it may be an id, or the beginning of one
		if id := read[string](endpoint, "NetworkID"); len(mode) >= 12 && strings.HasPrefix(id, mode) {
			return name
		}
	}
	return mode
}

// attachments is how the container is attached to its networks: those that
// the create takes, and those to be connected after it.
func (b Blueprint) attachments(version string) (atCreate, later map[string]fields) {
	main := b.mainNetwork()
	atCreate, later = map[string]fields{}, map[string]fields{}
	if main == "host" || main == "none" || strings.HasPrefix(main, "container:") {
		if _, only := b.Inspect.Networks[main]; only || len(b.Inspect.Networks) == 0 {
			return atCreate, later // the mode says it all
		}
	}
	names := slices.Sorted(maps.Keys(b.Inspect.Networks))
	for _, name := range names {
		atCreate[name] = b.endpoint(name, version)
	}
	if atLeast(version, severalAPI) || len(names) < 2 {
		return atCreate, later
	}
	first := names[0]
	if slices.Contains(names, main) {
		first = main
	}
	later = atCreate
	atCreate = map[string]fields{first: later[first]}
	delete(later, first)
	return atCreate, later
}

// endpoint is the user's part of an endpoint's settings; the rest the engine
// fills in for each container.
func (b Blueprint) endpoint(name, version string) fields {
	from, out := b.Inspect.Networks[name], fields{}
	for _, field := range []string{"IPAMConfig", "Links", "DriverOpts", "GwPriority"} {
		if field == "IPAMConfig" && givenBySwarm(from) {
			continue
		}
		if value, ok := from[field]; ok && string(value) != "null" {
			out[field] = value
		}
	}
	if aliases := read[[]string](from, "Aliases"); aliases != nil {
		write(out, "Aliases", b.aliases(aliases, version))
	}
	if mac := b.Inspect.MACs[name]; mac != "" && atLeast(version, severalAPI) {
		write(out, "MacAddress", mac)
	}
	return out
}

// givenBySwarm says whether an endpoint's address may be of Swarm's choice: in
// its networks (their ids aren't 64 hexadecimal digits) an engine shows the
// address in use as if it had been asked for, while the container runs.
func givenBySwarm(endpoint fields) bool {
	id := read[string](endpoint, "NetworkID")
	return id != "" && !madeUp(id) && read[string](endpoint, "IPAddress") != ""
}

// lostAddresses warns of those that may have been asked for.
func (b Blueprint) lostAddresses() (warnings []string) {
	for _, name := range slices.Sorted(maps.Keys(b.Inspect.Networks)) {
		if endpoint := b.Inspect.Networks[name]; givenBySwarm(endpoint) {
			warnings = append(warnings, "the engine doesn't tell whether "+read[string](endpoint, "IPAddress")+
				" in network "+name+" was asked for; Swarm will choose the new container's address there")
		}
	}
	return warnings
}

// aliases are the user's. Engines before 25 (API 1.44) keep the short id and
// the host name among them; a container made by one of those still has them
// after the engine was upgraded.
func (b Blueprint) aliases(list []string, version string) []string {
	short, hostname := b.ID[:12], read[string](b.Inspect.Config, "Hostname")
	old := !atLeast(version, aliasesAPI) || slices.Contains(list, short)
	return slices.DeleteFunc(slices.Clone(list), func(a string) bool {
		return a == short || old && hostname != "" && a == hostname
	})
}
