package project_test

import (
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/project"
)

// The services of a file, one a line, and containers as "service state code health".
func TestAStatusIsTrue(t *testing.T) {
	const (
		web   = "web: {image: app, restart: always}\n"
		db    = "db: {image: app, restart: unless-stopped}\n"
		job   = "job: {image: app}\n"
		gate  = "web: {image: app, restart: always, depends_on: {job: {condition: service_completed_successfully}}}\n"
		after = "web: {image: app, depends_on: {db: {condition: service_healthy}}}\n"
	)
	for name, c := range map[string]struct {
		file, containers string
		want             project.Status
		reason           string
	}{
		"all run":                        {web + db, "web running|db running", project.StatusRunning, "All services run"},
		"no containers":                  {web + db, "", project.StatusDown, "no containers"},
		"a one-shot ended well":          {web + job, "web running|job exited 0", project.StatusRunning, "job ended with code 0"},
		"a one-shot that others await":   {gate + job, "web running|job exited 0", project.StatusRunning, "job"},
		"a one-shot runs, others wait":   {gate + job, "web created|job running", project.StatusStarting, "web: not ready"},
		"one waits for health":           {after + db, "web created|db running 0 starting", project.StatusStarting, "db, web"},
		"made, and nothing to wait for":  {web + db, "web created|db running", project.StatusPartial, "web: made, and not started"},
		"a one-shot failed":              {web + job, "web running|job exited 3", project.StatusFailed, "job ended with code 3"},
		"only one-shots":                 {job, "job exited 0", project.StatusCompleted, "code 0"},
		"one-shot that always restarts":  {"job: {image: app, restart: always}\n" + gate, "web running|job exited 0", project.StatusRunning, "job"},
		"a health check fails":           {web + db, "web running 0 unhealthy|db running 0 healthy", project.StatusUnhealthy, "web"},
		"a health check not done":        {web + db, "web running 0 starting|db running 0 healthy", project.StatusStarting, "web"},
		"a restart loop":                 {web + db, "web restarting 7|db running", project.StatusFailed, "again and again; it ended with code 7"},
		"stopped by hand, always":        {web + db, "web exited 1|db running", project.StatusPartial, "web: stopped"},
		"stopped by hand, all":           {web + db, "web exited 137|db exited 0", project.StatusStopped, "Nothing runs"},
		"stopped by a signal":            {job, "job exited 143", project.StatusStopped, "Nothing runs"},
		"one that serves isn't one-shot": {"web: {image: app, ports: ['80:80']}\n" + db, "web exited 0|db running", project.StatusPartial, "web: stopped"},
		"a crash without a policy":       {job + db, "job exited 1|db running", project.StatusFailed, "job ended with code 1"},
		"on-failure gave up":             {"job: {image: app, restart: 'on-failure:3'}\n" + db, "job exited 9|db running", project.StatusFailed, "code 9"},
		"a service without a container":  {web + db, "web running", project.StatusPartial, "db: no container"},
		"replicas missing":               {"web: {image: app, restart: always, scale: 2}\n", "web running", project.StatusPartial, "fewer containers"},
		"no replicas wanted":             {"web: {image: app, scale: 0}\n" + db, "db running", project.StatusRunning, "All"},
		"a profile that isn't enabled":   {"web: {image: app, profiles: [debug]}\n" + db, "db running", project.StatusRunning, "All"},
		"… whose container has failed":   {"web: {image: app, profiles: [debug]}\n" + db, "db running|web exited 1", project.StatusFailed, "web"},
		"paused":                         {web + db, "web paused|db running", project.StatusPartial, "web: paused"},
		"an orphan counts for nothing":   {db, "db running|old exited 1", project.StatusRunning, "All"},
		"only an orphan runs":            {db, "old running", project.StatusPartial, "old"},
		"never started":                  {web + db, "web created|db created", project.StatusStopped, "made, and not started"},
		"dead":                           {web, "web dead 0", project.StatusFailed, "web"},
		"done, but the main thing isn't": {job + db, "job exited 0", project.StatusPartial, "db: no container"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write(map[string]string{"app/compose.yaml": "services:\n  " + strings.ReplaceAll(strings.TrimSpace(c.file), "\n", "\n  ")})
			w.list.list = containers(c.containers)
			p := w.one("app")
			if p.Status != c.want || !strings.Contains(p.Reason, c.reason) {
				t.Errorf("%s: %q; want %s: %q; %+v %+v", p.Status, p.Reason, c.want, c.reason, p.Services, p.Warnings)
			}
		})
	}
}

func containers(list string) (all []dockercli.Container) {
	for what := range strings.SplitSeq(list, "|") {
		if what != "" {
			all = append(all, container("app", what))
		}
	}
	return all
}

// Without files, the labels say what waits for what.
func TestAStatusWithoutFilesIsReadFromLabels(t *testing.T) {
	w := newWorld(t)
	w.list.list = []dockercli.Container{
		container("far", "web created", "depends_on=db:service_healthy:false,job:service_completed_successfully:false"),
		container("far", "db running 0 starting"), container("far", "job exited 0"),
	}
	if p := w.one("far"); p.Status != project.StatusStarting || p.Origin != project.Running || p.Blocked == nil || p.Blocked.Code != string(project.ErrOutside) {
		t.Errorf("%+v", p)
	}
	w.list.list[0] = container("far", "web exited 0")
	w.list.list[0].Ports = []dockercli.Port{{Private: 80}}
	if p := w.one("far"); p.Status != project.StatusPartial {
		t.Errorf("%s %s", p.Status, p.Reason)
	}
}
