package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// inspect is the part of the engine's GET /containers/{id}/json that a detail
// shows.
type inspect struct {
	Platform     string
	RestartCount int
	State        struct {
		Running   bool
		ExitCode  int
		OOMKilled bool
		// The engine writes 0001-01-01T00:00:00Z for never.
		StartedAt, FinishedAt time.Time
		Health                *struct {
			Log []struct {
				Start    time.Time
				ExitCode int
				Output   string
			}
		}
	}
	Config struct {
		Hostname, User, WorkingDir string
		Env, Cmd, Entrypoint       []string
		Labels                     map[string]string
	}
	HostConfig struct {
		NetworkMode            string
		Privileged, AutoRemove bool
		RestartPolicy          struct {
			Name              string
			MaximumRetryCount int
		}
	}
	Mounts []struct {
		Type, Name, Source, Destination string
		RW                              bool
	}
	NetworkSettings struct {
		Networks map[string]struct {
			NetworkID, IPAddress, GlobalIPv6Address, MacAddress string
			Aliases                                             []string
		}
	}
}

// DetailFromInspect makes a detail, without its status, of the engine's own
// answer to an inspect. Nothing in it is masked yet.
func DetailFromInspect(raw json.RawMessage) (ContainerDetail, error) {
	var i inspect
	if err := json.Unmarshal(raw, &i); err != nil {
		return ContainerDetail{}, fmt.Errorf("read what the engine says of a container: %w", err)
	}
	d := ContainerDetail{
		Command: i.Config.Cmd, Entrypoint: i.Config.Entrypoint, WorkingDir: i.Config.WorkingDir,
		User: i.Config.User, Hostname: i.Config.Hostname, Labels: i.Config.Labels,
		NetworkMode: i.HostConfig.NetworkMode, Privileged: i.HostConfig.Privileged, AutoRemove: i.HostConfig.AutoRemove,
		Restart:      RestartPolicy{Name: i.HostConfig.RestartPolicy.Name, MaxRetries: i.HostConfig.RestartPolicy.MaximumRetryCount},
		RestartCount: i.RestartCount, Platform: i.Platform, OOMKilled: i.State.OOMKilled,
	}
	if !i.State.StartedAt.IsZero() {
		d.StartedAt = &i.State.StartedAt
	}
	if !i.State.Running && !i.State.FinishedAt.IsZero() {
		d.ExitCode, d.FinishedAt = &i.State.ExitCode, &i.State.FinishedAt
	}
	for _, e := range i.Config.Env {
		name, value, _ := strings.Cut(e, "=")
		d.Env = append(d.Env, EnvVar{Name: name, Value: value})
	}
	for _, m := range i.Mounts {
		d.Mounts = append(d.Mounts, Mount{Type: m.Type, Name: m.Name, Source: m.Source, Destination: m.Destination, ReadOnly: !m.RW})
	}
	if i.State.Health != nil {
		for _, p := range i.State.Health.Log {
			d.HealthLog = append(d.HealthLog, HealthProbe{At: p.Start.UTC(), ExitCode: p.ExitCode, Output: p.Output})
		}
	}
	d.Networks = i.networks()
	return d, nil
}

func (i inspect) networks() []Network {
	var all []Network
	for name, n := range i.NetworkSettings.Networks {
		all = append(all, Network{Name: name, ID: n.NetworkID, IPv4: n.IPAddress, IPv6: n.GlobalIPv6Address, MAC: n.MacAddress, Aliases: n.Aliases})
	}
	slices.SortFunc(all, func(a, b Network) int { return strings.Compare(a.Name, b.Name) })
	return all
}
