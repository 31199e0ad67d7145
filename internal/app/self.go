package app

import (
	"os"
	"regexp"
	"slices"
)

// ownContainers are the ids of the container that the program runs in, as the
// kernel shows them: the engine mounts files of it from a folder of that name.
// With network_mode container:… they are the other container's, which the
// program can't do without either. Empty outside of containers.
func ownContainers() []string {
	return containersIn(ownMountInfo())
}

// ownMountInfo is the kernel's list of what is mounted here; empty on other
// systems than Linux.
func ownMountInfo() string {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	return string(mounts)
}

func containersIn(mountinfo string) []string {
	var ids []string
	for _, m := range regexp.MustCompile(`/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf) `).FindAllStringSubmatch(mountinfo, -1) {
		ids = append(ids, m[1])
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
