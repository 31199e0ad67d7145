package api

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/logging"
	"github.com/watch-docker/watch-docker/internal/scanner"
)

// readyTimeout bounds the look at engine and store that a readiness check takes.
const readyTimeout = 3 * time.Second

type healthOut struct {
	Body struct {
		Status string `json:"status"`
	} `nameHint:"Health"`
}

func (s *server) health(context.Context, *none) (*healthOut, error) {
	out := &healthOut{}
	out.Body.Status = "ok"
	return out, nil
}

// ready asks all parts at once and names those that don't answer. Why they
// don't is for the log: strangers may ask here.
func (s *server) ready(ctx context.Context, _ *none) (*healthOut, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	failures := ask(ctx, s.Checks)
	if len(failures) > 0 {
		p := problem(http.StatusServiceUnavailable, CodeNotReady, "Not every part that is needed answers; see errors, and the log.")
		p.Errors = map[string]string{}
		for name, err := range failures {
			p.Errors[name] = "does not answer"
			s.log.Debug("not ready", zap.String("part", name), logging.Err(err))
		}
		return nil, p
	}
	out := &healthOut{}
	out.Body.Status = "ready"
	return out, nil
}

func ask(ctx context.Context, checks []Check) map[string]error {
	type outcome struct {
		name string
		err  error
	}
	outcomes := make(chan outcome, len(checks))
	for _, check := range checks {
		go func() { outcomes <- outcome{check.Name, check.Ask(ctx)} }()
	}
	failures := map[string]error{}
	for range checks {
		if o := <-outcomes; o.err != nil {
			failures[o.name] = o.err
		}
	}
	return failures
}

type systemOut struct{ Body SystemStatus }

func (s *server) getSystem(ctx context.Context, _ *none) (*systemOut, error) {
	status, err := s.System.System(ctx)
	if err != nil {
		return nil, err
	}
	status.RateLimits, status.Degraded = orEmpty(status.RateLimits), orEmpty(status.Degraded)
	if status.Compose = s.Compose.Available(ctx); !status.Compose.Available {
		status.Degraded = append(status.Degraded, Degradation{Code: CodeNoCompose, Message: sentence(status.Compose.Problem)})
	}
	status.Containers = countByStatus(s.Scans.Latest().Containers)
	return &systemOut{Body: status}, nil
}

func countByStatus(all []scanner.ContainerStatus) ContainerCounts {
	n := ContainerCounts{Total: len(all), ByStatus: map[scanner.Status]int{
		scanner.UpToDate: 0, scanner.UpdateAvailable: 0, scanner.Skipped: 0, scanner.Unknown: 0, scanner.Failed: 0,
	}}
	for i := range all {
		n.ByStatus[all[i].Status]++
		if all[i].Running {
			n.Running++
		}
	}
	return n
}

type configOut struct{ Body map[string]any }

func (s *server) getConfig(context.Context, *none) (*configOut, error) {
	return &configOut{Body: s.Config()}, nil
}
