package dockercli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Stats are what a container uses, counted as Docker's own command line does.
type Stats struct {
	At          time.Time
	CPUPercent  *float64 // of one core; nil in the first second
	Memory      uint64   // bytes, without the page cache
	MemoryLimit uint64   // the host's memory if it has none
	NetworkRx   uint64   // bytes since its start, as the rest
	NetworkTx   uint64
	BlockRead   uint64
	BlockWrite  uint64
	PIDs        uint64
}

// Stats calls on with what a running container uses, about once a second,
// until ctx ends or the engine ends the stream, as it does when the container
// is removed.
func (c *Client) Stats(ctx context.Context, id string, on func(Stats)) error {
	doing := "measure container " + short(id)
	res, err := c.sdk().ContainerStats(ctx, id, client.ContainerStatsOptions{Stream: true})
	if err != nil {
		return c.wrap(doing, err)
	}
	defer res.Body.Close()
	for samples := json.NewDecoder(res.Body); ; {
		var s container.StatsResponse
		err := samples.Decode(&s)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return c.brokenOff(doing, err)
		case s.Read.IsZero() || s.CPUStats.CPUUsage.TotalUsage == 0 && s.PidsStats.Current == 0:
			continue // it doesn't run
		}
		on(statsOf(&s))
	}
}

func statsOf(s *container.StatsResponse) Stats {
	out := Stats{
		At: s.Read.UTC(), CPUPercent: cpuPercent(s), Memory: withoutCache(s.MemoryStats), MemoryLimit: s.MemoryStats.Limit, PIDs: s.PidsStats.Current,
	}
	for _, n := range s.Networks {
		out.NetworkRx += n.RxBytes
		out.NetworkTx += n.TxBytes
	}
	for _, b := range s.BlkioStats.IoServiceBytesRecursive {
		switch b.Op { // "Read" with cgroup v1, "read" with v2
		case "Read", "read":
			out.BlockRead += b.Value
		case "Write", "write":
			out.BlockWrite += b.Value
		}
	}
	return out
}

// cpuPercent is 100 for one busy core, as Docker's command line has it
// (calculateCPUPercentUnix): the share of the host's time in all, times its CPUs.
func cpuPercent(s *container.StatsResponse) *float64 {
	if s.PreCPUStats.SystemUsage == 0 { // the first sample of a stream has none before it
		return nil
	}
	used := float64(s.CPUStats.CPUUsage.TotalUsage) - float64(s.PreCPUStats.CPUUsage.TotalUsage)
	passed := float64(s.CPUStats.SystemUsage) - float64(s.PreCPUStats.SystemUsage)
	cpus := float64(s.CPUStats.OnlineCPUs)
	if cpus == 0 {
		cpus = float64(len(s.CPUStats.CPUUsage.PercpuUsage))
	}
	percent := 0.0
	if passed > 0 && used > 0 {
		percent = used / passed * cpus * 100
	}
	return &percent
}

// withoutCache takes off what the kernel gives back when it needs memory, as
// Docker's command line does (calculateMemUsageUnixNoCache).
func withoutCache(m container.MemoryStats) uint64 {
	inactive, v1 := m.Stats["total_inactive_file"]
	if !v1 {
		inactive = m.Stats["inactive_file"]
	}
	if inactive < m.Usage {
		return m.Usage - inactive
	}
	return m.Usage
}
