package project

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds a file's name relative to the project's folder.
const maxName = 1024

// normalise makes a project's name from a folder's, as Compose does.
func normalise(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return -1
	}, strings.ToLower(name))
	return strings.TrimLeft(name, "_-")
}

// validName says whether Compose takes it for a project's name.
func validName(name string) bool { return name != "" && normalise(name) == name }

// checkName refuses what is no plain name of a file below a folder, by its
// text alone. What it leads to is for os.Root.
func checkName(name string) error {
	switch {
	case name == "":
		return refuse(ErrFileName, "A file needs a name, such as compose.yaml.")
	case len(name) > maxName:
		return refuse(ErrFileName, "The file name is longer than %d bytes.", maxName)
	case !utf8.ValidString(name), strings.ContainsFunc(name, unprintable):
		return refuse(ErrFileName, "The file name %q has characters that can't be shown; rename it.", name)
	case strings.ContainsAny(name, `\`), !fs.ValidPath(name), name == ".":
		return refuse(ErrFileName, "%q is no file of the project: give its name relative to the project's folder, without \"..\".", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, "-") {
			return refuse(ErrFileName, "%q begins with \"-\", which commands take for an option; rename it.", name)
		}
		if len(part) > 255 {
			return refuse(ErrFileName, "%q has a part of more than 255 bytes.", name)
		}
	}
	return nil
}

// unprintable also finds what turns the direction of text or can't be seen.
func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co)
}

// Kind is what a file is to its project.
type Kind string

// The kinds.
const (
	KindCompose Kind = "compose"
	KindEnv     Kind = "env"
	KindOther   Kind = "other" // the project's files name it
)

// kindOf tells by the name alone; KindOther is for all that has to be named to count.
func kindOf(name string) Kind {
	base := path.Base(name)
	switch ext := path.Ext(base); {
	case base == ".env", strings.HasPrefix(base, ".env."), ext == ".env":
		return KindEnv
	case ext == ".yaml" || ext == ".yml":
		stem := strings.TrimPrefix(strings.TrimSuffix(base, ext), "docker-")
		if stem == "compose" || strings.HasPrefix(stem, "compose.") || strings.HasPrefix(stem, "compose-") {
			return KindCompose
		}
	}
	return KindOther
}

// The names that Compose looks for, the first that is there counts.
func defaultFiles() []string {
	return []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}
}

func defaultOverrides() []string {
	return []string{"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"}
}

// deciding are the names of files that say whether a folder is a project.
func deciding() []string { return slices.Concat([]string{".env"}, defaultFiles(), defaultOverrides()) }

// skipped are folders that hold no projects, and often many files.
func skipped(name string) bool {
	switch name {
	case "node_modules", "vendor", "__pycache__", "lost+found", "System Volume Information":
		return true
	}
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "@") || strings.HasPrefix(name, "#") || strings.HasPrefix(name, "$")
}
