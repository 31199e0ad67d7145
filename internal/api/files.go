package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
)

const (
	maxUpload = 100 << 20 // bytes of a file that is written
	maxText   = 1 << 20   // bytes of a file that is edited
)

// Files are those in containers. Paths are absolute and clean.
//
// Errors of all: ErrUnknownContainer, *BusyError (of what changes something),
// *FileError, *ConflictError, ErrEngineUnavailable.
type Files interface {
	// ListFiles is cut where there is more than can be read at once.
	ListFiles(ctx context.Context, id, folder string) (list []File, cut bool, err error)
	// OpenFile gives the content of a file, and of anything else nil.
	OpenFile(ctx context.Context, id, name string) (File, io.ReadCloser, error)
	// FileArchive gives a folder as tar.
	FileArchive(ctx context.Context, id, name string) (io.ReadCloser, error)
	// WriteFile keeps the owner, group and mode of a file that is there.
	WriteFile(ctx context.Context, id, name string, content io.Reader, size int64) error
	RemoveFile(ctx context.Context, id, name string, recursive bool) error
}

// FileError says what is wrong with a path, by the code of a problem.
type FileError struct {
	Code, Message string
	Err           error // for the log
}

func (e *FileError) Error() string { return e.Message }
func (e *FileError) Unwrap() error { return e.Err }

// File is a file, folder or link in a container.
type File struct {
	Name    string    `json:"name"`
	Type    string    `json:"type" enum:"file,folder,link,other"`
	Size    int64     `json:"size" doc:"In bytes, of a file"`
	Mode    string    `json:"mode" example:"0644"`
	UID     int       `json:"uid" doc:"-1: not known"`
	GID     int       `json:"gid"`
	ModTime time.Time `json:"modifiedAt"`
	Target  string    `json:"target,omitempty" doc:"Where a link leads, as it is written in it"`
}

// FileType names the type of a file with that mode.
func FileType(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "file"
	case m.IsDir():
		return "folder"
	case m&fs.ModeSymlink != 0:
		return "link"
	}
	return "other"
}

// fileList answers a list.
type fileList struct {
	Path  string `json:"path"`
	Files []File `json:"files"`
	Cut   bool   `json:"cut" doc:"There are more"`
}

// filesOf makes a handler of one that finds its container and its path.
func (s *server) filesOf(handle func(c *gin.Context, id, name string) error) gin.HandlerFunc {
	return func(c *gin.Context) {
		trailOf(c.Request.Context()).always = true
		err := s.locate(c, handle)
		if err == nil {
			return
		}
		if c.Writer.Written() { // half a file must not look like a whole one
			panic(http.ErrAbortHandler)
		}
		p, _ := s.fail(c.Request.Context(), err).(Problem) //nolint:errorlint // fail makes nothing else
		p.write(c)
	}
}

func (s *server) locate(c *gin.Context, handle func(c *gin.Context, id, name string) error) error {
	ctx, wrong := c.Request.Context(), map[string]string{}
	for name, values := range c.Request.URL.Query() {
		switch name {
		case "path":
		case "download", "text", "recursive":
			if _, err := strconv.ParseBool(values[0]); err != nil {
				wrong["query."+name] = "is true or false"
			}
		default:
			wrong["query."+name] = "there is no such parameter"
		}
	}
	name := c.Query("path")
	if !isPath(name) {
		wrong["query.path"] = fmt.Sprintf("is an absolute path of at most %d bytes", maxPath)
	}
	if len(wrong) > 0 {
		return wrongQuery(wrong)
	}
	if s.Files == nil {
		return problem(http.StatusNotFound, CodeNotFound, "There are no files here.")
	}
	name = path.Clean(name)
	found, err := s.find(ctx, c.Param("id"))
	if err != nil {
		return err
	}
	trailOf(ctx).note(true, printable(name))
	if s.Terminals != nil && s.Terminals.Own(found.ID) { // its files are the program's own keys
		if err := s.allows(adminFresh, callerOf(ctx)); err != nil {
			return err
		}
		if !s.Terminals.HostEnabled() {
			return hostDisabled()
		}
	}
	return handle(c, found.ID, name)
}

func flag(c *gin.Context, name string) bool {
	is, _ := strconv.ParseBool(c.Query(name)) // checked by locate
	return is
}

// readFiles is GET …/files.
func (s *server) readFiles(c *gin.Context, id, name string) error {
	ctx := c.Request.Context()
	switch {
	case flag(c, "text"):
		return s.readText(c, id, name)
	case flag(c, "download"):
		trailOf(ctx).note(true, "download")
		return s.download(c, id, name)
	}
	list, cut, err := s.Files.ListFiles(ctx, id, name)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, fileList{Path: name, Files: orEmpty(list), Cut: cut})
	return nil
}

func (s *server) download(c *gin.Context, id, name string) error {
	f, content, err := s.Files.OpenFile(c.Request.Context(), id, name)
	switch {
	case err != nil:
		return err
	case f.Type == "folder":
		if content, err = s.Files.FileArchive(c.Request.Context(), id, name); err != nil {
			return err
		}
		f.Name = path.Base(name) + ".tar"
		if name == "/" {
			f.Name = "root.tar"
		}
		c.Header("Content-Type", "application/x-tar")
	case content == nil:
		return notAFile(f)
	default:
		f.Name = path.Base(name)
		c.Header("Content-Type", "application/octet-stream")
		c.Header("Content-Length", strconv.FormatInt(f.Size, 10))
	}
	defer content.Close()
	c.Header("Content-Disposition", attachment(f.Name))
	c.Status(http.StatusOK)
	if c.Request.Method == http.MethodHead {
		return nil
	}
	_, err = io.Copy(c.Writer, content)
	return err
}

// attachment names a download; what could mislead a browser or a file system is replaced.
func attachment(name string) string {
	name = strings.Map(func(r rune) rune {
		if strings.ContainsRune("/\\\"<>|:*?%", r) || r == utf8.RuneError {
			return '_'
		}
		return r
	}, printable(name))
	return mime.FormatMediaType("attachment", map[string]string{"filename": cmp.Or(strings.TrimLeft(name, "."), "file")})
}

func notAFile(f File) error {
	switch f.Type {
	case "folder":
		return &FileError{Code: CodeIsFolder, Message: "It is a folder."}
	case "link":
		return &FileError{Code: CodeIsLink, Message: "It is a link to " + strconv.Quote(f.Target) + "; ask for that."}
	}
	return &FileError{Code: CodeNotAFile, Message: "It is a device, a pipe or a socket."}
}

// readText is GET …/files?text=true.
func (s *server) readText(c *gin.Context, id, name string) error {
	f, text, err := s.text(c.Request.Context(), id, name)
	switch {
	case err != nil:
		return err
	case bytes.IndexByte(text, 0) >= 0 || !utf8.Valid(text):
		return &FileError{Code: CodeNotText, Message: "It isn't text in UTF-8; download it instead."}
	}
	c.Header("ETag", etag(f, text))
	c.Data(http.StatusOK, "text/plain; charset=utf-8", text)
	return nil
}

// text reads a file that may be edited.
func (s *server) text(ctx context.Context, id, name string) (File, []byte, error) {
	f, content, err := s.Files.OpenFile(ctx, id, name)
	if err != nil {
		return f, nil, err
	}
	if content == nil {
		return f, nil, notAFile(f)
	}
	defer content.Close()
	if f.Size > maxText {
		return f, nil, &FileError{Code: CodeFileTooLarge, Message: "It has more than 1 MiB; download it instead."}
	}
	text, err := io.ReadAll(content)
	return f, text, err
}

// etag changes with whatever an editor could overwrite.
func etag(f File, text []byte) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%d %d ", f.Size, f.ModTime.UnixNano())
	sum.Write(text)
	return fmt.Sprintf(`"%x"`, sum.Sum(nil)[:16])
}

// fileWritten answers a PUT.
type fileWritten struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
}

// writeFile is PUT …/files. The whole body is there before anything is
// written: a connection that breaks leaves the file as it was.
func (s *server) writeFile(c *gin.Context, id, name string) error {
	ctx := c.Request.Context()
	spool, size, err := s.spool(c)
	if err != nil {
		return err
	}
	defer spool.Close()
	defer s.editing.lock(id + " " + name)()
	if err := s.unchanged(ctx, c.Request.Header, id, name); err != nil {
		return err
	}
	if err := s.Files.WriteFile(ctx, id, name, spool, size); err != nil {
		return err
	}
	trailOf(ctx).note(true, fmt.Sprintf("%d bytes", size))
	if size <= maxText {
		if f, text, err := s.text(ctx, id, name); err == nil {
			c.Header("ETag", etag(f, text))
		}
	}
	c.JSON(http.StatusOK, fileWritten{Path: name, Size: size})
	return nil
}

// unchanged holds the request's conditions against what is there.
func (s *server) unchanged(ctx context.Context, h http.Header, id, name string) error {
	match, none := h.Get("If-Match"), h.Get("If-None-Match")
	if match == "" && none == "" {
		return nil
	}
	f, text, err := s.text(ctx, id, name)
	var wrong *FileError
	there := err == nil || errors.As(err, &wrong) && wrong.Code != CodeNoFile
	switch {
	case err != nil && wrong == nil:
		return err
	case none == "*" && there:
		return problem(http.StatusPreconditionFailed, CodeChanged, "There is something by that name already.")
	case match == "*" && there, match == "":
		return nil
	case err != nil || !strings.Contains(match, etag(f, text)):
		return problem(http.StatusPreconditionFailed, CodeChanged, "The file has changed since you read it, or is gone. Read it again.")
	}
	return nil
}

// spool keeps a body in a file that has no name, so that nothing is left of it
// whatever happens.
func (s *server) spool(c *gin.Context) (_ *os.File, size int64, err error) {
	tooLarge := problem(http.StatusRequestEntityTooLarge, CodeTooLarge, "A file may have 100 MiB.")
	if c.Request.ContentLength > maxUpload {
		return nil, 0, tooLarge
	}
	f, err := os.CreateTemp(s.SpoolFolder, "upload-*")
	if err != nil {
		return nil, 0, fmt.Errorf("keep an upload: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	if err := os.Remove(f.Name()); err != nil {
		return nil, 0, fmt.Errorf("keep an upload: %w", err)
	}
	size, err = io.Copy(f, http.MaxBytesReader(c.Writer, &patient{c.Request.Body, http.NewResponseController(c.Writer)}, maxUpload))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, 0, tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, 0, problem(http.StatusRequestTimeout, CodeSlowBody, "The file came too slowly.")
	case err != nil && c.Request.Context().Err() != nil, errors.Is(err, io.ErrUnexpectedEOF):
		return nil, 0, fmt.Errorf("read an upload: %w: %w", context.Canceled, err)
	case err != nil:
		return nil, 0, fmt.Errorf("keep an upload: %w", err)
	}
	_ = c.Request.Body.Close() // which lifts the time limit
	_, err = f.Seek(0, io.SeekStart)
	return f, size, err
}

// patient gives each piece of a body its time, in place of the whole.
type patient struct {
	io.ReadCloser

	connection *http.ResponseController
}

func (p *patient) Read(b []byte) (int, error) {
	_ = p.connection.SetReadDeadline(time.Now().Add(bodyTimeout)) // a recorder in a test has none
	return p.ReadCloser.Read(b)
}

// removeFile is DELETE …/files.
func (s *server) removeFile(c *gin.Context, id, name string) error {
	ctx := c.Request.Context()
	if name == "/" {
		return &FileError{Code: CodeIsFolder, Message: "It is the container's root."}
	}
	trailOf(ctx).note(flag(c, "recursive"), "with all that is in it")
	defer s.editing.lock(id + " " + name)()
	if err := s.Files.RemoveFile(ctx, id, name, flag(c, "recursive")); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
