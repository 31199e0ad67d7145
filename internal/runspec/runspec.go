// Package runspec holds how a container was run: what its owner asked for,
// without what its image gives. They are plain values: the engine's client
// fills them in, and a Compose file is made of them.
package runspec

import "time"

// Container is one container. A zero field was not asked for.
type Container struct {
	Name     string
	Image    string // the reference
	Platform string // "linux/arm64"; empty: the engine's own
	Labels   map[string]string

	// Command and Entrypoint are nil if they are the image's. An entrypoint of
	// one empty word takes the image's away.
	Command, Entrypoint []string
	Env                 []string // NAME=value
	User, WorkingDir    string
	Hostname, Domain    string
	StopSignal          string
	StopTimeout         *time.Duration
	Health              *Health
	Terminal, Input     bool
	Init                *bool

	Ports    []Port
	AllPorts bool     // -P: each exposed port on one that the engine chooses
	Expose   []string // "8080/tcp"

	NetworkMode string // "host", "none", "bridge", "container:NAME"; empty: the networks
	Networks    []Network
	Links       []string // "container:alias"
	DNS         []string
	DNSSearch   []string
	DNSOptions  []string
	ExtraHosts  []string

	Binds       []string // "source:target:options", where source is a path or a volume's name
	Mounts      []Mount  // of --mount, and anonymous volumes by their names
	Tmpfs       map[string]string
	VolumesFrom []string // "NAME:ro"

	Restart    string // "always", "unless-stopped", "on-failure:3"
	AutoRemove bool

	Privileged, ReadOnly            bool
	CapAdd, CapDrop, Groups         []string
	SecurityOptions                 []string
	Devices                         []string // "host:container:rwm"
	DeviceRules                     []string
	DeviceRequests                  []DeviceRequest
	Pid, Ipc, Uts, UserNS, CgroupNS string
	CgroupParent, Runtime           string
	Sysctls, StorageOptions         map[string]string
	Annotations                     map[string]string
	Ulimits                         []Ulimit
	LogDriver                       string // empty: the engine's
	LogOptions                      map[string]string
	Limits                          Limits

	// Unsaid names, in words, what was asked for and has no place here.
	Unsaid []string
}

// Health is a health check; zero fields are the image's or the engine's.
type Health struct {
	Disabled                                        bool
	Test                                            []string // "CMD", "CMD-SHELL", …
	Interval, Timeout, StartPeriod, StartedInterval time.Duration
	Retries                                         int
}

// Port is published.
type Port struct {
	Address, Host string // the host's; an empty or "0" Host is chosen by the engine
	Container     string // "80/tcp"
}

// Network is one that exists already.
type Network struct {
	Name, IPv4, IPv6, MAC string
	Aliases, LinkLocal    []string
	DriverOptions         map[string]string
	GatewayPriority       int
}

// Mount is one in full.
type Mount struct {
	Type           string // "bind", "volume", "tmpfs", "image"
	Source, Target string
	ReadOnly       bool
	Anonymous      bool // a volume that the engine named
	Propagation    string
	NoCopy         bool
	SubPath        string
	Size           int64
	Mode           uint32
	CreateHostPath bool
}

// DeviceRequest asks for devices such as GPUs. Count -1 is all.
type DeviceRequest struct {
	Driver            string
	Count             int
	IDs, Capabilities []string
	Options           map[string]string
}

// Ulimit is one limit of a process.
type Ulimit struct {
	Name       string
	Soft, Hard int64
}

// Limits are those of the control group; sizes in bytes.
type Limits struct {
	Memory, MemoryReservation, MemorySwap, Shm int64
	Swappiness                                 *int64
	CPUs                                       float64
	CPUShares, CPUPeriod, CPUQuota             int64
	CPUSet                                     string
	Pids                                       int64
	OOMScore                                   int64
	NoOOMKill                                  bool
}
