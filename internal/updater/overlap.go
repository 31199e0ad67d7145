package updater

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/policy"
	"github.com/watch-docker/watch-docker/internal/store"
)

// exclusive gives every reason why two containers like this one can't run at
// once, each a sentence; none, and it can be updated start-first. shared are
// the mounts that both may write to: destinations, names of volumes, "*".
func exclusive(b dockercli.Blueprint, dependents []member, shared []string) []string {
	var reasons []string
	add := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	has := b.Exclusive()
	for _, port := range has.Ports {
		add("It publishes a port (%s), which only one can have; let it be reached through a network instead.", port)
	}
	switch peer, another := strings.CutPrefix(has.Network, "container:"); {
	case another:
		add("It lives in the network of container %s; give it a network of its own.", peer[:min(len(peer), 12)])
	case has.Network != "":
		add("It lives in the %s's network; give it a network of its own.", has.Network)
	}
	for _, address := range has.Addresses {
		add("It has the fixed address %s; let it be known by a name there.", address)
	}
	for _, mac := range has.MACs {
		add("It has the fixed MAC address %s; take that away.", mac)
	}
	for i := range dependents {
		if m := &dependents[i]; !m.Only {
			add("%s depends on it and would have to be made anew with it; give that one a network and volumes of its own, and a name in place of a link.", m.Old.Name)
		}
	}
	for _, m := range b.Shared() {
		if !allowed(m, shared) {
			add("Both would write to %s (%s); if they may, name it in %ssharedVolumes.", m.Destination, source(m), policy.Prefix)
		}
	}
	return reasons
}

func allowed(m dockercli.Mount, shared []string) bool {
	return slices.ContainsFunc(shared, func(s string) bool {
		return s == "*" || m.Name != "" && s == m.Name || strings.HasPrefix(s, "/") && path.Clean(s) == path.Clean(m.Destination)
	})
}

// source says in a few words what is mounted.
func source(m dockercli.Mount) string {
	switch {
	case m.Anonymous:
		return "an anonymous volume"
	case m.Name != "":
		return m.Type + " " + m.Name
	}
	return strings.TrimSpace(m.Type + " " + m.Source)
}

// startFirst says whether the new container is started before the old one
// stops. On the way back that isn't insisted on.
func startFirst(p *plan, l policy.Labels) (bool, error) {
	if l.Strategy != policy.StartFirst || !p.Running {
		return false, nil
	}
	reasons := exclusive(p.Old, p.Dependents, l.SharedVolumes)
	if len(reasons) > 0 && !p.Back {
		return false, problem(CodeStartFirst, "%s can't be started beside the old one, as the label %sstrategy asks for. %s", p.Old.Name, policy.Prefix, strings.Join(reasons, " "))
	}
	return len(reasons) == 0, nil
}

// overlap is replace for start-first: the old container runs until the new one
// has passed its gate. Until the stop it can be called off; then state is Cancelled.
func (u *Updater) overlap(soft, hard context.Context, j *job) (store.OperationState, error) {
	p := &j.plan
	if err := j.step(hard, stepStart, func(ctx context.Context) (string, error) { return "", u.launch(ctx, &p.member) }); err != nil {
		return store.RolledBack, err
	}
	err := j.step(soft, stepGate, func(ctx context.Context) (string, error) { return u.gate(ctx, j, []*member{&p.member}) })
	if err == nil {
		err = u.postUpdate(soft, j)
	}
	var failed *Error
	if soft.Err() != nil && (!errors.As(err, &failed) || failed.Code == CodeInterrupted) {
		return store.Cancelled, problem(CodeInterrupted, "The program was stopped; the old container has run all the while.")
	}
	if err != nil {
		return store.RolledBack, err
	}
	if err := j.step(hard, stepSwap, func(ctx context.Context) (string, error) { return "", u.swap(ctx, &p.member) }); err != nil {
		return store.RolledBack, err
	}
	if err := j.step(hard, stepStop, func(ctx context.Context) (string, error) { return "", u.stopAll(ctx, j) }); err != nil {
		return store.RolledBack, err
	}
	if err := u.settle(hard, &p.member); err != nil {
		return store.RolledBack, err
	}
	// Until now nobody would have restarted it.
	if err := again(func() error { return u.broken(hard, j) }); err != nil {
		return store.RolledBack, err
	}
	return store.RolledBack, u.prove(hard, j)
}
