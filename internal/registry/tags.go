package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/go-resty/resty/v2"
	"go.uber.org/zap"

	"github.com/watch-docker/watch-docker/internal/image"
)

const (
	// tagsPerPage is what is asked for; registries give what they like.
	tagsPerPage = 1000
	// maxTagPages and maxTags bound a list, which comes in the order of the
	// alphabet: whoever has more can't be told what the newest is.
	maxTagPages = 50
	maxTags     = 50_000
	// maxTagLists bounds the cache, in repositories.
	maxTagLists = 500
	// longestTag is the specification's.
	longestTag = 128
	// longestQuery bounds what a registry has us say back to it.
	longestQuery = 2000
)

// Tags lists the tags of a reference's repository: one request for each page,
// or none within the cache's TTL. The slice must not be changed.
//
// Errors: as with Head; CodeBadResponse also if the list has no end.
func (b *Batch) Tags(ctx context.Context, ref image.Reference) ([]string, error) {
	name := ref.Name()
	tags, err := b.client.tags.get(ctx, key(ref, "tags"), func(ctx context.Context) ([]string, error) {
		return anyOf(ctx, b.client.endpoints(ref.Domain), func(ctx context.Context, h *host) ([]string, error) {
			return b.listTags(ctx, h, ref)
		})
	})
	return tags, of(name, err)
}

func (b *Batch) listTags(ctx context.Context, h *host, ref image.Reference) ([]string, error) {
	var all []string
	seen := map[string]bool{}
	for query := fmt.Sprintf("n=%d", tagsPerPage); query != ""; {
		if seen[query] || len(seen) == maxTagPages || len(all) > maxTags {
			return nil, errorf(CodeBadResponse, h.name, "%s has no end to its list of the tags of %s, which was read for %d pages. Take the label that follows newer tags away, or ask its administrator to remove old ones.", h.name, ref.Name(), len(seen))
		}
		seen[query] = true
		resp, err := b.ask(ctx, h, question{
			method: http.MethodGet, repository: ref.Path, path: "tags/list?" + query, accept: "application/json", name: "the tags of " + ref.Name(),
		})
		if err != nil {
			return nil, err
		}
		if resp.StatusCode() != http.StatusOK {
			return nil, b.noTags(h, ref, resp)
		}
		var page struct{ Tags []string }
		if err := json.Unmarshal(resp.Body(), &page); err != nil {
			return nil, b.badManifest(h, "the tags of "+ref.Name(), "something that is no list of tags")
		}
		all = append(all, page.Tags...)
		query = nextPage(resp.Header())
	}
	all = slices.DeleteFunc(all, func(tag string) bool { return tag == "" || len(tag) > longestTag })
	slices.Sort(all)
	all = slices.Clip(slices.Compact(all))
	b.client.log.Debug("listed tags", zap.String("repository", ref.Name()), zap.Int("tags", len(all)), zap.Int("pages", len(seen)))
	return all, nil
}

func (b *Batch) noTags(h *host, ref image.Reference, resp *resty.Response) error {
	name := "the tags of " + ref.Name()
	if status := resp.StatusCode(); status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented {
		e := errorf(CodeBadResponse, h.name, "%s doesn't list %s%s. Newer versions can't be followed there; take the label away.", h.name, name, said(resp))
		e.Status = status
		return e
	}
	return statusError(h, name, resp)
}

// nextPage gives the query of the next page, which the Link header has
// (RFC 8288; distribution specification, "Listing Tags"); empty on the last.
// Where the link leads is the registry's to say only within the list asked
// for: credentials go nowhere else.
func nextPage(header http.Header) string {
	links := regexp.MustCompile(`<([^>]*)>([^<]*)`)
	for _, value := range header.Values("Link") {
		for _, link := range links.FindAllStringSubmatch(value, -1) {
			u, err := url.Parse(link[1])
			if err == nil && isNext(link[2]) && len(u.RawQuery) < longestQuery {
				return u.RawQuery
			}
		}
	}
	return ""
}

func isNext(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.Trim(p, " ,"), "=")
		if strings.EqualFold(name, "rel") && strings.EqualFold(strings.Trim(value, `"`), "next") {
			return true
		}
	}
	return false
}
