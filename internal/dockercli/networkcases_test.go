package dockercli_test

func namesAndNetworks() []recreation {
	return []recreation{
		{name: "host name", args: []string{"-h", "web", "--domainname", "example.org"}},
		{name: "extra hosts and dns", args: []string{"--add-host", "a:10.1.2.3", "--add-host", "b:host-gateway", "--dns", "9.9.9.9", "--dns-search", "example.org", "--dns-option", "ndots:2"}},
		{name: "network with alias", prep: []string{"network create {net}a"}, args: []string{"--network", "{net}a", "--network-alias", "web", "--network-alias", "www"}},
		{name: "network with host name and alias alike", prep: []string{"network create {net}a"}, args: []string{"--network", "{net}a", "-h", "web", "--network-alias", "other"}},
		{name: "static addresses", prep: []string{"network create --ipv6 --subnet 10.77.{n}.0/24 --subnet fd00:77:{n}::/64 {net}a"}, args: []string{"--network", "{net}a", "--ip", "10.77.{n}.20", "--ip6", "fd00:77:{n}::20"}},
		{name: "link local address", prep: []string{"network create {net}a"}, args: []string{"--network", "{net}a", "--link-local-ip", "169.254.33.{n}"}},
		{name: "mac on the default network", since: "1.44", args: []string{"--mac-address", "02:42:ac:aa:bb:cc"}},
		{name: "mac on a network", since: "1.44", prep: []string{"network create {net}a"}, args: []string{"--network", "{net}a", "--mac-address", "0a:42:ac:aa:bb:01"}},
		{name: "container's mac", until: "1.43", body: `{"Image":"{image}","MacAddress":"02:42:ac:aa:bb:cc"}`},
		{name: "container's mac on a network", until: "1.43", prep: []string{"network create {net}a"}, body: `{"Image":"{image}","MacAddress":"0a:42:ac:aa:bb:01","HostConfig":{"NetworkMode":"{net}a"}}`},
		{name: "network by name", prep: []string{"network create {net}a"}, body: `{"Image":"{image}","HostConfig":{"NetworkMode":"{net}a"}}`},
		{name: "network by id", prep: []string{"network create {net}a"}, body: `{"Image":"{image}","HostConfig":{"NetworkMode":"{id {net}a}"}}`},
		{name: "network by id, with settings", prep: []string{"network create --subnet 10.81.{n}.0/24 {net}a"}, args: []string{"--network", "{id {net}a}", "--network-alias", "web", "--ip", "10.81.{n}.7"}},
		{name: "network by id, and another", prep: []string{"network create {net}a", "network create {net}b"}, args: []string{"--network", "{id {net}a}"}, then: []string{"network connect --alias x {net}b {name}"}},
		{name: "default network in words", args: []string{"--network", "default"}},
		{name: "default network by name", args: []string{"--network", "bridge"}},
		{name: "networking disabled", body: `{"Image":"{image}","NetworkDisabled":true}`},
		{name: "internal network", prep: []string{"network create --internal {net}a"}, args: []string{"--network", "{net}a"}},
		{name: "host name like a short id", args: []string{"-h", "0123456789ab"}},
		{name: "host name with dots", args: []string{"-h", "web.example.org"}},
		{name: "domain name alone", args: []string{"--domainname", "example.org"}},
		{name: "host network", args: []string{"--network", "host"}},
		{name: "host network and host name", args: []string{"--network", "host", "-h", "web"}},
		{name: "no network", args: []string{"--network", "none"}},
		{name: "another's network by name", prep: []string{"run -d --name {name}-peer -h peer {image}"}, args: []string{"--network", "container:{name}-peer"}, from: "rich"},
		{name: "another's network by id", prep: []string{"run -d --name {name}-peer -h peer {image}"}, args: []string{"--network", "container:{id {name}-peer}"}, from: "rich"},
		{name: "links on the default network", prep: []string{"run -d --name {name}-db {image}"}, args: []string{"--link", "{name}-db:db", "--link", "{name}-db:database"}},
		{name: "links on a network", prep: []string{"network create {net}a", "run -d --network {net}a --name {name}-db {image}"}, args: []string{"--network", "{net}a", "--link", "{name}-db:db"}},
		{name: "ports", from: "rich", args: []string{"-p", "190{n}:80", "-p", "127.0.0.1:191{n}:53/udp", "-p", "127.0.0.1::8080", "-p", "9000-9002"}},
		{name: "all ports", from: "rich", args: []string{"-P"}},
		{name: "all ports and some", from: "rich", args: []string{"-P", "-p", "192{n}:80"}},
		{name: "port of a range", args: []string{"-p", "127.0.0.1:193{n}-194{n}:80"}},
		{name: "port over sctp and ipv6", args: []string{"-p", "[::1]:195{n}:80", "-p", "0.0.0.0:196{n}:81/udp"}},
	}
}

func severalNetworks() []recreation {
	return []recreation{
		{
			name: "three networks", prep: []string{"network create --subnet 10.78.{n}.0/24 {net}a", "network create {net}b", "network create --subnet 10.79.{n}.0/24 {net}c"},
			args: []string{"--network", "{net}b", "--network-alias", "web"},
			then: []string{"network connect --ip 10.78.{n}.9 --alias inner --alias db {net}a {name}", "network connect --ip 10.79.{n}.9 {net}c {name}"},
		},
		{
			name: "three networks with everything, connected", prep: threeNetworks(),
			args: []string{"--network", "{net}a", "--network-alias", "web", "--network-alias", "www", "--ip", "10.83.{n}.9", "--ip6", "fd00:83:{n}::9", "--link-local-ip", "169.254.83.{n}"},
			then: []string{
				"network connect --ip 10.84.{n}.9 --ip6 fd00:84:{n}::9 --link-local-ip 169.254.84.{n} --alias db --driver-opt com.example.b=1 {net}b {name}",
				"network connect --ip 10.85.{n}.9 --ip6 fd00:85:{n}::9 --link-local-ip 169.254.85.{n} --alias cache --alias queue --driver-opt com.example.c=1 {net}c {name}",
			},
		},
		{
			name: "three networks with everything, at create", since: "1.48", prep: threeNetworks(),
			body: `{"Image":"{image}","HostConfig":{"NetworkMode":"{net}b"},"NetworkingConfig":{"EndpointsConfig":{
				"{net}a":{"IPAMConfig":{"IPv4Address":"10.83.{n}.7","IPv6Address":"fd00:83:{n}::7","LinkLocalIPs":["169.254.83.{n}"]},"Aliases":["one","uno"],
					"MacAddress":"00:42:ac:aa:bb:04","DriverOpts":{"com.example.a":"1"},"GwPriority":-3},
				"{net}b":{"IPAMConfig":{"IPv4Address":"10.84.{n}.7","IPv6Address":"fd00:84:{n}::7","LinkLocalIPs":["169.254.84.{n}"]},"Aliases":["two"],
					"MacAddress":"0a:42:ac:aa:bb:05","DriverOpts":{"com.example.b":"1"}},
				"{net}c":{"IPAMConfig":{"IPv4Address":"10.85.{n}.7","IPv6Address":"fd00:85:{n}::7","LinkLocalIPs":["169.254.85.{n}"]},"Aliases":["three"],
					"MacAddress":"00:42:ac:aa:bb:06","DriverOpts":{"com.example.c":"1"},"GwPriority":100}}}}`,
		},
		{name: "locally administered mac on a further network, never started", since: "1.44", createdOnly: "a started one's can't be told from the engine's own",
			prep: []string{"network create {net}a", "network create {net}b"},
			body: `{"Image":"{image}","HostConfig":{"NetworkMode":"{net}a"},"NetworkingConfig":{"EndpointsConfig":{"{net}a":{},"{net}b":{"MacAddress":"0a:42:ac:aa:bb:07"}}}}`},
		{name: "default network and another", prep: []string{"network create {net}a"}, then: []string{"network connect --alias x {net}a {name}"}},
		{name: "main network taken off", prep: []string{"network create {net}a"}, then: []string{"network connect {net}a {name}", "network disconnect bridge {name}"}},
		{name: "no network left", then: []string{"network disconnect bridge {name}"}},
		{
			name: "several networks at create", since: "1.44", prep: []string{"network create --subnet 10.80.{n}.0/24 {net}a", "network create {net}b"},
			body: `{"Image":"{image}","HostConfig":{"NetworkMode":"{net}a"},"NetworkingConfig":{"EndpointsConfig":{
				"{net}a":{"IPAMConfig":{"IPv4Address":"10.80.{n}.7"},"Aliases":["one"],"MacAddress":"0a:42:ac:aa:bb:02"},
				"{net}b":{"Aliases":["two"],"MacAddress":"00:42:ac:aa:bb:03","DriverOpts":{"com.docker.network.endpoint.sysctls":"net.ipv4.conf.IFNAME.log_martians=1"}}}}}`,
		},
		{
			name: "gateway priority", since: "1.48", prep: []string{"network create {net}a", "network create {net}b"},
			body: `{"Image":"{image}","HostConfig":{"NetworkMode":"{net}a"},"NetworkingConfig":{"EndpointsConfig":{
				"{net}a":{"GwPriority":-3},"{net}b":{"GwPriority":100}}}}`,
		},
		{name: "driver options", prep: []string{"network create {net}a"}, then: []string{"network connect --driver-opt com.example.key=value {net}a {name}"}},
	}
}

func threeNetworks() []string {
	return []string{
		"network create --ipv6 --subnet 10.83.{n}.0/24 --subnet fd00:83:{n}::/64 {net}a",
		"network create --ipv6 --subnet 10.84.{n}.0/24 --subnet fd00:84:{n}::/64 {net}b",
		"network create --ipv6 --subnet 10.85.{n}.0/24 --subnet fd00:85:{n}::/64 {net}c",
	}
}
