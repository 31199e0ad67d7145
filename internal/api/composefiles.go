package api

import (
	"context"
	"slices"
	"unicode/utf8"

	"github.com/watch-docker/watch-docker/internal/compose"
	"github.com/watch-docker/watch-docker/internal/composefile"
	"github.com/watch-docker/watch-docker/internal/project"
)

func (s *server) composeFileRoutes(r *routes) {
	handle(r, administrator, "GET /api/compose/{project}/files", "readProjectFiles", "A project's files, or the content of one, secrets masked", s.readProjectFiles)
	handle(r, adminFresh, "PUT /api/compose/{project}/files", "saveProjectFile", "Save a file of a project, if it is still what was read", s.saveProjectFile, composeBody)
	handle(r, adminFresh, "GET /api/compose/{project}/versions", "listProjectVersions", "Earlier versions of a project's files, newest first", s.listProjectVersions)
	handle(r, adminFresh, "GET /api/compose/{project}/versions/{n}", "getProjectVersion", "One of them, with its content", s.getProjectVersion)
	handle(r, adminFresh, "POST /api/compose/{project}/versions/{n}/restore", "restoreProjectVersion", "Give a file that content back", s.restoreProjectVersion)
}

type projectFilesIn struct {
	ProjectPath

	Name   string `query:"name" maxLength:"512" doc:"Give the content of this one"`
	Reveal bool   `query:"reveal" doc:"With what looks like a secret; with a fresh proof"`
}

// FilesOfProject are a project's files, or one with its content.
type FilesOfProject struct {
	Files   []project.File `json:"files"`
	Name    string         `json:"name,omitempty"`
	Content string         `json:"content,omitempty"`
	ETag    string         `json:"etag,omitempty" doc:"For If-Match; not of a content that is masked"`
	Masked  bool           `json:"masked,omitempty" doc:"What looks like a secret has been replaced"`
}

type projectFilesOut struct {
	ETag string `header:"ETag"`
	Body FilesOfProject
}

func (s *server) readProjectFiles(ctx context.Context, in *projectFilesIn) (*projectFilesOut, error) {
	trail := trailOf(ctx)
	trail.about(in.Project)
	if in.Reveal {
		if err := s.allows(adminFresh, callerOf(ctx)); err != nil {
			return nil, err
		}
	}
	all, err := s.Compose.Files(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	if s.allows(adminFresh, callerOf(ctx)) != nil { // the hash of a file tells whether a guess at its secret is right
		all = slices.Clone(all)
		for i := range all {
			all[i].ETag = ""
		}
	}
	out := &projectFilesOut{Body: FilesOfProject{Files: orEmpty(all)}}
	if in.Name == "" {
		return out, nil
	}
	content, etag, err := s.Compose.Read(ctx, in.Project, in.Name)
	if err != nil {
		return nil, err
	}
	trail.note(in.Reveal, printable(in.Name)+", secrets revealed")
	if !utf8.Valid(content) {
		return nil, notUTF8(in.Name)
	}
	out.Body.Name = in.Name
	out.Body.Content, out.Body.ETag, out.ETag = string(content), etag, etag
	if in.Reveal {
		return out, nil
	}
	if shown, masked := composefile.Mask(content, mask); masked {
		out.Body.Content, out.Body.Masked, out.Body.ETag, out.ETag = string(shown), true, "", ""
	}
	return out, nil
}

type saveFileIn struct {
	ProjectPath

	IfMatch     string `header:"If-Match" maxLength:"128" doc:"The ETag of what is replaced"`
	IfNoneMatch string `header:"If-None-Match" enum:"*" doc:"*: the file must be a new one"`
	Body        struct {
		Name    string `json:"name" minLength:"1" maxLength:"512" doc:"Relative to the project's folder"`
		Content string `json:"content"`
	} `nameHint:"ProjectFileContent"`
}

type savedOut struct {
	ETag string `header:"ETag"`
	Body compose.Saved
}

func (s *server) saveProjectFile(ctx context.Context, in *saveFileIn) (*savedOut, error) {
	trailOf(ctx).about(in.Project)
	trailOf(ctx).note(true, printable(in.Body.Name))
	match := in.IfMatch
	if in.IfNoneMatch != "" {
		match = project.Absent
	}
	saved, err := s.Compose.Save(ctx, in.Project, in.Body.Name, []byte(in.Body.Content), match, callerOf(ctx).Username)
	return savedAs(saved, err)
}

func savedAs(saved compose.Saved, err error) (*savedOut, error) {
	if err != nil {
		return nil, err
	}
	saved.Problems, saved.Notes = orEmpty(saved.Problems), orEmpty(saved.Notes)
	return &savedOut{ETag: saved.ETag, Body: saved}, nil
}

type versionsIn struct {
	ProjectPath

	Name string `query:"name" maxLength:"512" doc:"Only of this file"`
}

type versionsOut struct {
	Body struct {
		Versions []project.Version `json:"versions"`
	} `nameHint:"ProjectVersions"`
}

func (s *server) listProjectVersions(ctx context.Context, in *versionsIn) (*versionsOut, error) {
	all, err := s.Compose.Versions(ctx, in.Project, in.Name)
	if err != nil {
		return nil, err
	}
	out := &versionsOut{}
	out.Body.Versions = orEmpty(all)
	return out, nil
}

// VersionPath is a version in a path.
type VersionPath struct {
	ProjectPath

	N int64 `path:"n" minimum:"1"`
}

type versionOut struct {
	Body struct {
		project.Version

		Content string `json:"content"`
	} `nameHint:"ProjectVersionContent"`
}

func (s *server) getProjectVersion(ctx context.Context, in *VersionPath) (*versionOut, error) {
	v, content, err := s.Compose.Version(ctx, in.Project, in.N)
	if err != nil {
		return nil, err
	}
	trailOf(ctx).about(in.Project)
	trailOf(ctx).note(true, printable(v.Name)+", secrets revealed")
	if !utf8.Valid(content) {
		return nil, notUTF8(v.Name)
	}
	out := &versionOut{}
	out.Body.Version, out.Body.Content = v, string(content)
	return out, nil
}

type restoreIn struct {
	VersionPath

	IfMatch     string `header:"If-Match" maxLength:"128" doc:"The ETag of what is replaced"`
	IfNoneMatch string `header:"If-None-Match" enum:"*" doc:"*: the file is gone"`
}

func (s *server) restoreProjectVersion(ctx context.Context, in *restoreIn) (*savedOut, error) {
	trailOf(ctx).about(in.Project)
	match := in.IfMatch
	if in.IfNoneMatch != "" {
		match = project.Absent
	}
	saved, err := s.Compose.Restore(ctx, in.Project, in.N, match, callerOf(ctx).Username)
	return savedAs(saved, err)
}
