package project

import "fmt"

// Code says why something isn't done; it is stable, and an error of errors.Is.
type Code string

// The reasons.
const (
	ErrNotFound    Code = "project_not_found"
	ErrNoRoot      Code = "compose_path_missing"   // compose.path names none, or one that isn't there
	ErrOutside     Code = "project_outside"        // its folder, or a file of it, is not under compose.path
	ErrName        Code = "project_name_invalid"   // Compose wouldn't take it
	ErrNameTaken   Code = "project_name_taken"     // by another project, or another folder
	ErrInUse       Code = "project_in_use"         // it has containers
	ErrNotMade     Code = "project_not_made"       // it has none
	ErrFileName    Code = "compose_file_name"      // no name for a file of a project
	ErrForbidden   Code = "compose_file_forbidden" // a file that is none of the project's
	ErrNoFile      Code = "compose_file_not_found"
	ErrFileExists  Code = "compose_file_exists"    // it was to be a new one
	ErrEnv         Code = "compose_env_invalid"    // .env can't be understood, so which files count isn't known
	ErrNotRegular  Code = "compose_file_special"   // a folder, a pipe, a device
	ErrTooBig      Code = "compose_file_too_big"   // more than MaxFile
	ErrNoMatch     Code = "precondition_required"  // nobody said which content is to be replaced
	ErrChanged     Code = "compose_file_changed"   // it is no longer what was read
	ErrReadOnly    Code = "compose_file_read_only" // the folder or its file system can't be written
	ErrNoSpace     Code = "compose_disk_full"
	ErrOwner       Code = "compose_file_owner" // saving it would give it to another user
	ErrNoVersion   Code = "compose_version_not_found"
	ErrUnreachable Code = "engine_unavailable" // what only the engine knows isn't known
)

func (c Code) Error() string { return string(c) }

// Error is a reason with a sentence that names the thing and says what to do.
type Error struct {
	Code    Code
	Message string
	Err     error // the cause, if there is one
}

func (e *Error) Error() string { return e.Message }

// Is compares the code.
func (e *Error) Is(target error) bool { return target == error(e.Code) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

func refuse(code Code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func because(code Code, err error, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: err}
}
