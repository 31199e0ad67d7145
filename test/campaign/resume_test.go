package campaign_test

import (
	"context"
	"slices"
	"time"
)

// resume starts the program again, or lets the one that lives come to its end.
func (u *run) resume(ctx context.Context) error {
	p := u.point
	switch {
	case p.death == nobody:
		return nil
	case p.death == asker:
		return u.settle(ctx, u.programs[0])
	case !p.death.program():
		return u.survive(ctx)
	case p.then != "":
		return u.relapse(ctx)
	case !p.again:
		return u.recover(ctx)
	}
	again, err := u.start("update", p.shape.name)
	if err != nil {
		return err
	}
	if err := again.wait(ctx, time.Minute); err != nil {
		u.found.say("%v", err)
	} else if !p.shape.broken && again.cmd.ProcessState.ExitCode() != 0 {
		u.found.say("the update that was started again fails")
	}
	return nil
}

// survive lets the program that the engine left alone end its operation.
func (u *run) survive(ctx context.Context) error {
	main := u.programs[0]
	if err := main.wait(ctx, 90*time.Second); err != nil {
		u.found.say("without its engine %v", err)
	}
	all, err := u.journal.operations(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(o *operation) bool { return !o.State.Finished() }) {
		return nil
	}
	u.found.say("the program ended and left its operation unfinished: %s", all[len(all)-1])
	return u.recover(ctx)
}

// recover starts a server, which has only to resolve what was left.
func (u *run) recover(ctx context.Context) error {
	u.watch(nil)
	p, err := u.serve(ctx)
	if err != nil {
		return err
	}
	return u.settle(ctx, p)
}

// settle waits until a server has ended the operation, and ends it in an
// orderly way.
func (u *run) settle(ctx context.Context, p *process) error {
	limit, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if u.at != nil {
		err := u.journal.until(limit, p.ended, func(o *operation) bool { return o.State.Finished() })
		if err != nil {
			u.found.say("recovery: %v", err)
		}
	}
	u.recovery = u.proxy.requests()
	if err := p.terminate(ctx); err != nil {
		u.found.say("%v", err)
	} else if p.cmd.ProcessState.ExitCode() != 0 {
		u.found.say("the server ends with %v", p.cmd.ProcessState)
	}
	return nil
}

// relapse starts a server and brings the second death into its recovery.
func (u *run) relapse(ctx context.Context) error {
	t := &trap{at: u.point.second, hit: make(chan struct{}), free: make(chan bool, 1)}
	u.watch(t)
	p, err := u.start("serve")
	if err != nil {
		return err
	}
	if err := u.reach(ctx, p, t); err != nil {
		return err
	}
	if u.point.then.program() {
		p.kill()
	}
	if err := u.release(ctx, t, u.point.then); err != nil {
		return err
	}
	if u.point.then.program() {
		return u.recover(ctx)
	}
	return u.settle(ctx, p)
}
