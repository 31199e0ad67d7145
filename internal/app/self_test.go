package app

import (
	"slices"
	"strings"
	"testing"
)

func TestTheOwnContainerIsFoundAmongTheMounts(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	inside := `611 590 8:1 /var/lib/docker/containers/` + id + `/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/sda1 rw
612 590 8:1 /var/lib/docker/containers/` + id + `/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw
`
	if got := containersIn(inside); !slices.Equal(got, []string{id}) {
		t.Errorf("inside: %v", got)
	}
	if got := containersIn("22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"); got != nil {
		t.Errorf("outside: %v", got)
	}
}
