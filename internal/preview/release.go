package preview

import (
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/watch-docker/watch-docker/internal/image"
)

// Labels that the OCI image specification gives a meaning (annotations.md).
const oci = "org.opencontainers.image."

const (
	longestText = 200
	longestURL  = 1000
)

// ReleaseOf is what an image says of itself.
func ReleaseOf(d image.Description, digest string) *Release {
	labels := d.Config.Labels
	r := &Release{
		Digest: digest, ImageID: d.ID,
		Title:    Line(labels[oci+"title"], longestText),
		Version:  Line(labels[oci+"version"], longestText),
		Revision: Line(labels[oci+"revision"], longestText),
		Source:   webURL(labels[oci+"source"]),
		URL:      webURL(labels[oci+"url"]),
	}
	at := d.CreatedAt
	if said, err := time.Parse(time.RFC3339, labels[oci+"created"]); err == nil && !tells(at) {
		at = said.UTC()
	}
	if tells(at) {
		r.CreatedAt = &at
	}
	return r
}

// tells reports whether a time says when an image was made: builds that are
// to be the same each time set it to 1970 or 1980.
func tells(at time.Time) bool { return at.Year() > 1980 && at.Year() < 10000 }

// Line makes one printable line of a stranger's text, of at most so many characters.
func Line(s string, longest int) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	runes := []rune(strings.TrimSpace(clean))
	if len(runes) > longest {
		return string(runes[:longest-1]) + "…"
	}
	return string(runes)
}

var (
	plainHost = regexp.MustCompile(`^[a-z0-9.-]+(:[0-9]{1,5})?$`)
	plainURL  = regexp.MustCompile(`^[!#-;=?-\[\]_a-z~]+$`) // ASCII without blanks, quotes, < > \ ^ ` { | }
	commit    = regexp.MustCompile(`^[0-9a-fA-F]{7,64}$`)
)

// webURL lets a URL through that can be shown as a link: http or https, without
// user and password; else nothing.
func webURL(s string) string {
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil || len(s) > longestURL || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return ""
	}
	u.Host = strings.ToLower(u.Host)
	if clean := u.String(); plainHost.MatchString(u.Host) && plainURL.MatchString(clean) {
		return clean
	}
	return ""
}

// LinkTo is where to read about the difference between two releases: what
// changed in the source, the list of releases, the source, or the page.
func LinkTo(from, to *Release) *Link {
	if to == nil {
		return nil
	}
	repo := repository(to.Source)
	switch {
	case from != nil && repo != nil && commit.MatchString(from.Revision) && commit.MatchString(to.Revision) &&
		from.Revision != to.Revision && sameRepository(repository(from.Source), repo):
		return &Link{LinkCompare, repo.page("compare/" + short(from.Revision) + "..." + short(to.Revision))}
	case repo != nil && to.Version != "":
		return &Link{LinkReleases, repo.page("releases")}
	case to.Source != "":
		return &Link{LinkSource, to.Source}
	case to.URL != "":
		return &Link{LinkURL, to.URL}
	}
	return nil
}

// short is as much of a commit's id as a link needs.
func short(revision string) string { return revision[:min(len(revision), 12)] }

// repo is a repository at a forge whose pages are known.
type repo struct {
	root string // "https://github.com/o/r"
	in   string // what comes between it and its pages
}

func (r *repo) page(of string) string { return r.root + r.in + "/" + of }

func sameRepository(a, b *repo) bool { return a != nil && strings.EqualFold(a.root, b.root) }

// repository recognises GitHub, GitLab, Gitea and Forgejo by their host's
// name; nil for all else.
func repository(source string) *repo {
	u, err := url.Parse(source)
	if err != nil || u.Scheme != "https" {
		return nil
	}
	parts := strings.Split(strings.Trim(path.Clean("/"+u.EscapedPath()), "/"), "/")
	in := ""
	switch {
	case isForge(u.Hostname(), "gitlab"):
		in = "/-"
		for i, p := range parts { // groups can be nested
			if p == "-" {
				parts = parts[:i]
				break
			}
		}
	case isForge(u.Hostname(), "github", "gitea", "forgejo", "codeberg"):
		parts = parts[:min(len(parts), 2)]
	default:
		return nil
	}
	if len(parts) < 2 {
		return nil
	}
	last := len(parts) - 1
	parts[last] = strings.TrimSuffix(parts[last], ".git")
	return &repo{root: "https://" + u.Host + "/" + strings.Join(parts, "/"), in: in}
}

// isForge goes by the host's labels: github.com, gitlab.example.org.
func isForge(host string, names ...string) bool {
	for label := range strings.SplitSeq(host, ".") {
		for _, name := range names {
			if label == name {
				return true
			}
		}
	}
	return false
}

// DownloadOf is what of the new image the old one doesn't have.
func DownloadOf(old, fresh []image.Layer) *Download {
	here := map[string]bool{}
	for _, l := range old {
		here[l.DiffID] = true
	}
	d := &Download{}
	for _, l := range fresh {
		if !here[l.DiffID] {
			d.Bytes += l.Size
			d.Layers++
		}
		here[l.DiffID] = true
	}
	return d
}
