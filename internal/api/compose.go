package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/watch-docker/watch-docker/internal/compose"
	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/composefile"
	"github.com/watch-docker/watch-docker/internal/project"
	"github.com/watch-docker/watch-docker/internal/secrets"
	"github.com/watch-docker/watch-docker/internal/store"
)

// Compose is compose.Service, where the errors of each are listed. Projects
// come to it by their ids.
type Compose interface {
	Available(ctx context.Context) compose.Availability
	List(ctx context.Context) ([]project.Project, error)
	Look(ctx context.Context, id string, asks bool) (compose.View, error)
	Validate(ctx context.Context, id string, replace map[string][]byte) (compose.View, error)
	Act(ctx context.Context, r compose.Request) (store.Operation, error)
	Preview(ctx context.Context, r compose.Request) (compose.Plan, error)
	Takes(ctx context.Context, r compose.Removal) (project.Deletion, error)
	Remove(ctx context.Context, r compose.Removal, actor string) (project.Deletion, store.Operation, error)
	// Convert makes a file of containers, by their full ids.
	Convert(ctx context.Context, containers []string, reveal bool) (composefile.Converted, error)
	Create(ctx context.Context, d compose.Draft, actor string) (project.Project, *store.Operation, error)
	ComposeFiles
}

// ComposeFiles are those of Compose projects, as project.Service has them.
type ComposeFiles interface {
	Files(ctx context.Context, id string) ([]project.File, error)
	Read(ctx context.Context, id, name string) (content []byte, etag string, err error)
	Save(ctx context.Context, id, name string, content []byte, ifMatch, actor string) (compose.Saved, error)
	Versions(ctx context.Context, id, name string) ([]project.Version, error)
	Version(ctx context.Context, id string, n int64) (project.Version, []byte, error)
	Restore(ctx context.Context, id string, n int64, ifMatch, actor string) (compose.Saved, error)
}

// composeRoutes are about Compose projects. A Compose file is root on the host:
// what runs or changes one is for administrators with a fresh proof.
func (s *server) composeRoutes(r *routes) {
	handle(r, viewer, "GET /api/compose", "listProjects", "All Compose projects", s.listProjects)
	handle(r, viewer, "GET /api/compose/{project}", "getProject", "A Compose project, and what its files say", s.getProject)
	handle(r, viewer, "POST /api/compose/{project}/validate", "validateProject", "What is wrong with a project's files; with other content in their place only for administrators", s.validateProject, composeBody)
	handle(r, operator, "POST /api/compose/start", "startProject", "Start a project's containers that there are", s.actOnContainers(composecli.Start), accepted)
	handle(r, operator, "POST /api/compose/stop", "stopProject", "Stop a project's containers", s.actOnContainers(composecli.Stop), accepted)
	handle(r, operator, "POST /api/compose/restart", "restartProject", "Restart a project's containers", s.actOnContainers(composecli.Restart), accepted)

	handle(r, viewer, "POST /api/compose/convert", "convertContainers", "A Compose file that runs the same containers; nothing is changed", s.convertContainers)
	handle(r, adminFresh, "POST /api/compose/create", "createProject", "Make a project, and start it if asked to", s.createProject, created, composeBody, also(http.StatusAccepted))
	handle(r, adminFresh, "DELETE /api/compose/delete", "deleteProject", "Take a project down, and remove its volumes and files if asked to in so many words", s.deleteProject, accepted, also(http.StatusOK))
	handle(r, adminFresh, "POST /api/compose/{project}/up", "upProject", "Make a project what its files say; with dryRun, say what that would do", s.upProject, accepted, also(http.StatusOK))
	handle(r, adminFresh, "POST /api/compose/{project}/down", "downProject", "Remove a project's containers and networks", s.downProject, accepted)
	handle(r, adminFresh, "POST /api/compose/{project}/pull", "pullProject", "Pull a project's images", s.actOnFiles(composecli.Pull), accepted)
	handle(r, adminFresh, "POST /api/compose/{project}/recreate", "recreateProject", "Make a project's containers anew", s.actOnFiles(composecli.Recreate), accepted)
	handle(r, adminFresh, "POST /api/compose/{project}/scale", "scaleProject", "Change how many containers services have", s.scaleProject, accepted)
	s.composeFileRoutes(r)
}

// maxComposeBody is for bodies that hold Compose files.
const maxComposeBody = 2 << 20

func composeBody(op *huma.Operation) { op.MaxBodyBytes = maxComposeBody }

// ProjectPath is a project in a path.
type ProjectPath struct {
	Project string `path:"project" minLength:"1" maxLength:"128" doc:"Its id"`
}

type listProjectsOut struct {
	Body struct {
		Projects []project.Project    `json:"projects"`
		Compose  compose.Availability `json:"compose" doc:"Whether projects can be acted on"`
	} `nameHint:"ProjectList"`
}

func (s *server) listProjects(ctx context.Context, _ *none) (*listProjectsOut, error) {
	all, err := s.Compose.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &listProjectsOut{}
	out.Body.Projects, out.Body.Compose = orEmpty(all), s.Compose.Available(ctx)
	return out, nil
}

type projectOut struct{ Body compose.View }

func (s *server) getProject(ctx context.Context, in *ProjectPath) (*projectOut, error) {
	v, err := s.Compose.Look(ctx, in.Project, false)
	if err != nil {
		return nil, err
	}
	return &projectOut{Body: viewable(v)}, nil
}

// viewable masks what looks like a secret, and makes lists of no lists.
func viewable(v compose.View) compose.View {
	v.Variables = orEmpty(slices.Clone(v.Variables))
	for i, x := range v.Variables {
		if secrets.Is(x.Name, x.Value) {
			v.Variables[i].Value = mask
		}
		if secrets.Is(x.Name, x.Default) {
			v.Variables[i].Default = mask
		}
	}
	v.Problems, v.Notes, v.Binds = orEmpty(v.Problems), orEmpty(v.Notes), orEmpty(v.Binds)
	return v
}

type validateIn struct {
	ProjectPath

	Body *struct {
		Files map[string]string `json:"files,omitempty" doc:"Content in place of what is on disk, by path relative to the project's folder; for administrators"`
	} `nameHint:"ValidateOptions"`
}

func (s *server) validateProject(ctx context.Context, in *validateIn) (*projectOut, error) {
	replace := map[string][]byte{}
	if in.Body != nil && len(in.Body.Files) > 0 {
		if err := s.allows(administrator, callerOf(ctx)); err != nil {
			return nil, err
		}
		for name, content := range in.Body.Files {
			replace[name] = []byte(content)
		}
	}
	v, err := s.Compose.Validate(ctx, in.Project, replace)
	if err != nil {
		return nil, err
	}
	return &projectOut{Body: viewable(v)}, nil
}

// ProjectRequest names a project and some of its services.
type ProjectRequest struct {
	Project  string   `json:"project" minLength:"1" maxLength:"128" doc:"Its id"`
	Services []string `json:"services,omitempty" maxItems:"1000" doc:"None: all"`
}

type actOnContainersIn struct {
	WaitQuery

	Body ProjectRequest
}

func (s *server) actOnContainers(kind composecli.Kind) func(context.Context, *actOnContainersIn) (*operationOut, error) {
	return func(ctx context.Context, in *actOnContainersIn) (*operationOut, error) {
		return s.actOnProject(ctx, in.Body.Project, composecli.Action{Kind: kind, Services: in.Body.Services}, in.WaitQuery)
	}
}

func (s *server) actOnProject(ctx context.Context, id string, a composecli.Action, wait WaitQuery) (*operationOut, error) {
	trailOf(ctx).about(id)
	op, err := s.Compose.Act(ctx, compose.Request{Project: id, Action: a, Actor: callerOf(ctx).Username})
	if err != nil {
		return nil, err
	}
	return s.operationOut(ctx, op, wait.Wait.Duration)
}

// ServicesBody names some of a project's services.
type ServicesBody struct {
	Services []string `json:"services,omitempty" maxItems:"1000" doc:"None: all"`
}

type actOnFilesIn struct {
	ProjectPath
	WaitQuery

	Body *ServicesBody
}

func (s *server) actOnFiles(kind composecli.Kind) func(context.Context, *actOnFilesIn) (*operationOut, error) {
	return func(ctx context.Context, in *actOnFilesIn) (*operationOut, error) {
		action := composecli.Action{Kind: kind}
		if in.Body != nil {
			action.Services = in.Body.Services
		}
		return s.actOnProject(ctx, in.Project, action, in.WaitQuery)
	}
}

type upIn struct {
	ProjectPath
	WaitQuery

	DryRun bool `query:"dryRun" doc:"Say what it would do, and do nothing"`
	Body   *struct {
		ServicesBody

		Build         bool   `json:"build,omitempty" doc:"Build images even if they are there"`
		Pull          string `json:"pull,omitempty" enum:"always,missing,never"`
		RemoveOrphans bool   `json:"removeOrphans,omitempty" doc:"Containers of services that the files don't have any more go"`
	} `nameHint:"UpOptions"`
}

type upOut struct {
	Status   int
	Location string `header:"Location"`
	Body     either[store.Operation, compose.Plan]
}

func (s *server) upProject(ctx context.Context, in *upIn) (*upOut, error) {
	action := composecli.Action{Kind: composecli.Up}
	if in.Body != nil {
		action.Services, action.Build, action.PullPolicy, action.RemoveOrphans = in.Body.Services, in.Body.Build, in.Body.Pull, in.Body.RemoveOrphans
	}
	trailOf(ctx).about(in.Project)
	if in.DryRun {
		trailOf(ctx).note(true, "dry run")
		plan, err := s.Compose.Preview(ctx, compose.Request{Project: in.Project, Action: action, Actor: callerOf(ctx).Username})
		if err != nil {
			return nil, err
		}
		plan.Changes, plan.Notes = orEmpty(plan.Changes), orEmpty(plan.Notes)
		return &upOut{Status: http.StatusOK, Body: either[store.Operation, compose.Plan]{b: &plan}}, nil
	}
	done, err := s.actOnProject(ctx, in.Project, action, in.WaitQuery)
	if err != nil {
		return nil, err
	}
	return &upOut{Status: http.StatusAccepted, Location: done.Location, Body: either[store.Operation, compose.Plan]{a: &done.Body}}, nil
}

type downIn struct {
	ProjectPath
	WaitQuery

	Body *struct {
		RemoveVolumes bool `json:"removeVolumes,omitempty" doc:"Its volumes go, with all data in them"`
		RemoveOrphans bool `json:"removeOrphans,omitempty" doc:"Containers of services that the files don't have any more go"`
	} `nameHint:"DownOptions"`
}

func (s *server) downProject(ctx context.Context, in *downIn) (*operationOut, error) {
	action := composecli.Action{Kind: composecli.Down}
	if in.Body != nil {
		action.RemoveVolumes, action.RemoveOrphans = in.Body.RemoveVolumes, in.Body.RemoveOrphans
	}
	trailOf(ctx).note(action.RemoveVolumes, "with volumes")
	return s.actOnProject(ctx, in.Project, action, in.WaitQuery)
}

type scaleIn struct {
	ProjectPath
	WaitQuery

	Body struct {
		Replicas map[string]int `json:"replicas" minProperties:"1" maxProperties:"1000" doc:"How many containers, by service"`
	} `nameHint:"ScaleRequest"`
}

func (s *server) scaleProject(ctx context.Context, in *scaleIn) (*operationOut, error) {
	return s.actOnProject(ctx, in.Project, composecli.Action{Kind: composecli.Scale, Replicas: in.Body.Replicas}, in.WaitQuery)
}

type deleteProjectIn struct {
	WaitQuery

	Body struct {
		Project       string `json:"project" minLength:"1" maxLength:"128" doc:"Its id"`
		RemoveVolumes bool   `json:"removeVolumes,omitempty" doc:"Its volumes go, with all data in them"`
		RemoveFiles   bool   `json:"removeFiles,omitempty" doc:"Its files go, and its folder if nothing else is in it"`
		DryRun        bool   `json:"dryRun,omitempty" doc:"Say what would go, and remove nothing"`
	} `nameHint:"ProjectDeletionRequest"`
}

// TakenAlong is what goes with a project.
type TakenAlong struct {
	Takes project.Deletion `json:"takes" doc:"What goes, and what stays"`
}

// DeletionOperation is the operation that takes it.
type DeletionOperation struct {
	store.Operation
	TakenAlong
}

type deleteProjectOut struct {
	Status   int
	Location string `header:"Location"`
	Body     either[DeletionOperation, TakenAlong]
}

func (s *server) deleteProject(ctx context.Context, in *deleteProjectIn) (*deleteProjectOut, error) {
	trailOf(ctx).about(in.Body.Project)
	trailOf(ctx).note(in.Body.RemoveVolumes, "with volumes")
	trailOf(ctx).note(in.Body.RemoveFiles, "with files")
	trailOf(ctx).note(in.Body.DryRun, "dry run")
	removal := compose.Removal{Project: in.Body.Project, Volumes: in.Body.RemoveVolumes, Files: in.Body.RemoveFiles}
	if in.Body.DryRun {
		takes, err := s.Compose.Takes(ctx, removal)
		if err != nil {
			return nil, err
		}
		return &deleteProjectOut{Status: http.StatusOK, Body: either[DeletionOperation, TakenAlong]{b: &TakenAlong{takes}}}, nil
	}
	takes, op, err := s.Compose.Remove(ctx, removal, callerOf(ctx).Username)
	if err != nil {
		return nil, err
	}
	done, err := s.operationOut(ctx, op, in.Wait.Duration)
	if err != nil {
		return nil, err
	}
	deletion := &DeletionOperation{done.Body, TakenAlong{takes}}
	return &deleteProjectOut{Status: http.StatusAccepted, Location: done.Location, Body: either[DeletionOperation, TakenAlong]{a: deletion}}, nil
}

type createProjectIn struct {
	WaitQuery

	Body struct {
		Name    string  `json:"name" minLength:"1" maxLength:"63" doc:"Lower case letters, digits, - and _"`
		Compose string  `json:"compose" minLength:"1" doc:"The content of compose.yaml"`
		Env     *string `json:"env,omitempty" doc:"The content of .env"`
		Start   bool    `json:"start,omitempty" doc:"Bring it up; the answer is 202 and that operation"`
	} `nameHint:"ProjectDraft"`
}

type createProjectOut struct {
	Status   int
	Location string `header:"Location"`
	Body     either[project.Project, store.Operation]
}

func (s *server) createProject(ctx context.Context, in *createProjectIn) (*createProjectOut, error) {
	trailOf(ctx).about(in.Body.Name)
	draft := compose.Draft{Name: in.Body.Name, Compose: []byte(in.Body.Compose), Start: in.Body.Start}
	if in.Body.Env != nil {
		draft.Env = []byte(*in.Body.Env)
	}
	made, op, err := s.Compose.Create(ctx, draft, callerOf(ctx).Username)
	if err != nil {
		return nil, err
	}
	out := &createProjectOut{Status: http.StatusCreated, Location: basePath(s.BaseURL) + "/api/compose/" + made.ID}
	if op == nil {
		out.Body.a = &made
		return out, nil
	}
	started, err := s.operationOut(ctx, *op, in.Wait.Duration)
	if err != nil {
		return nil, err
	}
	out.Status, out.Location, out.Body.b = http.StatusAccepted, started.Location, &started.Body
	return out, nil
}

type convertIn struct {
	Reveal bool `query:"reveal" doc:"With secrets; administrators only, with a fresh proof"`
	Body   struct {
		Containers []string `json:"containers" minItems:"1" maxItems:"200" doc:"Ids or names"`
	} `nameHint:"ConvertRequest"`
}

type convertOut struct {
	Body struct {
		Compose  string                `json:"compose" doc:"The content of compose.yaml"`
		Env      string                `json:"env" doc:"The content of .env: the secrets, empty unless revealed"`
		Warnings []composefile.Warning `json:"warnings"`
		Secrets  []string              `json:"secrets" doc:"The variables in env"`
	} `nameHint:"ConvertedContainers"`
}

func (s *server) convertContainers(ctx context.Context, in *convertIn) (*convertOut, error) {
	if in.Reveal {
		if err := s.allows(adminFresh, callerOf(ctx)); err != nil {
			return nil, err
		}
	}
	ids, err := s.findAll(ctx, in.Body.Containers)
	if err != nil {
		return nil, err
	}
	trailOf(ctx).note(in.Reveal, "secrets revealed")
	made, err := s.Compose.Convert(ctx, ids, in.Reveal)
	if err != nil {
		return nil, err
	}
	out := &convertOut{}
	out.Body.Compose, out.Body.Env = string(made.Compose), string(made.Env)
	out.Body.Warnings, out.Body.Secrets = orEmpty(made.Warnings), orEmpty(made.Secrets)
	return out, nil
}
