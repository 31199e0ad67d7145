package composefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/template"
	"github.com/distribution/reference"
	"go.yaml.in/yaml/v3"
)

// Errors of SetImage, for errors.Is.
var (
	ErrNoService = errors.New("the file has no such service")
	// ErrNoImage: the service's own entry has no image: it is built, or another
	// file or service gives it.
	ErrNoImage = errors.New("the service's entry in this file names no image")
	// ErrShared: the image is written once for several places, by an anchor, an alias or <<.
	ErrShared = errors.New("the image is shared with other places of the file, by an anchor, an alias or <<: change it by hand")
	// ErrNotEditable: the file isn't YAML, or says it in a way that can't be changed in place.
	ErrNotEditable = errors.New("the image can't be changed in place: change it by hand")
	// ErrBadImage: the new image is no reference.
	ErrBadImage = errors.New("this is no image reference")
)

// InterpolatedError is an image of which variables are a part: the place to
// change is where they are set. VariableFor tells to what.
type InterpolatedError struct {
	Written   string
	Variables []string
}

func (e *InterpolatedError) Error() string {
	return fmt.Sprintf("the image %s takes its value from %s: set that", e.Written, strings.Join(e.Variables, ", "))
}

// SetImage gives a service another image: that one word changes, and nothing
// else of the file: comments, quotes, line ends and order stay.
//
// Errors: ErrNoService, ErrNoImage, ErrShared, *InterpolatedError,
// ErrNotEditable, ErrBadImage.
func SetImage(content []byte, service, image string) ([]byte, error) {
	if _, err := reference.ParseNormalizedNamed(image); err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrBadImage, short(image), err)
	}
	docs, err := documents(content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotEditable, err)
	}
	n, err := imageNode(docs, service)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", service, err)
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return nil, fmt.Errorf("%s: %w", service, ErrShared)
	}
	if found := template.ExtractVariables(map[string]any{"": n.Value}, nil); len(found) > 0 {
		return nil, fmt.Errorf("%s: %w", service, &InterpolatedError{n.Value, slices.Sorted(maps.Keys(found))})
	}
	start, end, err := span(content, n)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", service, err)
	}
	out := slices.Concat(content[:start], []byte(image), content[end:])
	if after, err := documents(out); err != nil || !onlyDiffers(docs, after, n, image) {
		return nil, fmt.Errorf("%s: %w", service, ErrNotEditable)
	}
	return out, nil
}

func documents(content []byte) ([]*yaml.Node, error) {
	if len(content) > maxFile {
		return nil, errTooBig
	}
	if !utf8.Valid(content) {
		return nil, errors.New("the file isn't UTF-8")
	}
	var docs []*yaml.Node
	for d := yaml.NewDecoder(bytes.NewReader(content)); ; {
		n := &yaml.Node{}
		err := d.Decode(n)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		docs = append(docs, n)
	}
}

// imageNode is the image of a service's own entry; the last document's counts.
func imageNode(docs []*yaml.Node, service string) (*yaml.Node, error) {
	err := ErrNoService
	for _, doc := range slices.Backward(docs) {
		if len(doc.Content) == 0 {
			continue
		}
		path := []string{"services", service, "image"}
		n := doc.Content[0]
		for i, key := range path {
			next, found := own(n, key)
			if found > 1 {
				return nil, fmt.Errorf("%w: %s is there twice", ErrNotEditable, key)
			}
			if found == 0 {
				if i == len(path)-1 {
					if merges, _ := own(n, "<<"); merges != nil {
						return nil, ErrShared
					}
					err = ErrNoImage
				}
				n = nil
				break
			}
			if n = next; n.Kind == yaml.AliasNode && i < len(path)-1 {
				return nil, ErrShared
			}
			if n.Anchor != "" {
				return nil, ErrShared
			}
		}
		if n != nil {
			return n, nil
		}
	}
	return nil, err
}

// own is a mapping's value, and how often its key is there.
func own(n *yaml.Node, key string) (value *yaml.Node, found int) {
	if n.Kind != yaml.MappingNode {
		return nil, 0
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			value, found = n.Content[i+1], found+1
		}
	}
	return value, found
}

// span is where a scalar's words are, without its quotes.
func span(content []byte, n *yaml.Node) (start, end int, err error) {
	at := offset(content, n.Line, n.Column)
	if n.Kind != yaml.ScalarNode || at < 0 || n.Style&(yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) != 0 {
		return 0, 0, ErrNotEditable
	}
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		at++
	}
	if n.Value == "" || !bytes.HasPrefix(content[at:], []byte(n.Value)) {
		return 0, 0, ErrNotEditable // nothing, or written with escapes or over several lines
	}
	return at, at + len(n.Value), nil
}

// offset is where a line and column are. The parser counts characters, and
// more kinds of line ends than one.
func offset(content []byte, line, column int) int {
	i := 0
	if bytes.HasPrefix(content, []byte("\xef\xbb\xbf")) {
		i = 3
	}
	for l, c := 1, 1; i < len(content); {
		if l == line && c == column {
			return i
		}
		r, size := utf8.DecodeRune(content[i:])
		i += size
		switch {
		case r == '\r' && i < len(content) && content[i] == '\n':
			i++
			l, c = l+1, 1
		case r == '\n', r == '\r', r == 0x85, r == 0x2028, r == 0x2029:
			l, c = l+1, 1
		default:
			c++
		}
	}
	return -1
}

// onlyDiffers says whether two readings are the same but for one scalar.
func onlyDiffers(before, after []*yaml.Node, at *yaml.Node, value string) bool {
	if len(before) != len(after) {
		return false
	}
	for i, b := range before {
		a := after[i]
		want := b.Value
		if b == at {
			want = value
		}
		if a.Kind != b.Kind || a.Tag != b.Tag || a.Anchor != b.Anchor || a.Value != want || a.Style != b.Style ||
			a.HeadComment != b.HeadComment || a.LineComment != b.LineComment || a.FootComment != b.FootComment ||
			!onlyDiffers(b.Content, a.Content, at, value) {
			return false
		}
	}
	return true
}

// VariableFor tells which variable must be set to what for an image that is
// written with it to become another one: of "shop:${TAG:-1.0}" and "shop:1.1"
// that is TAG and 1.1. It is false if there are several variables, or the rest
// isn't the same.
func VariableFor(written, image string) (name, value string, ok bool) {
	found := template.ExtractVariables(map[string]any{"": written}, nil)
	if len(found) != 1 {
		return "", "", false
	}
	for name := range found {
		const mark = "\x00"
		shape, err := template.SubstituteWithOptions(written, func(string) (string, bool) { return mark, true }, template.WithoutLogging)
		before, after, ok := strings.Cut(shape, mark)
		if err != nil || !ok || strings.Contains(after, mark) || len(image) <= len(before)+len(after) ||
			!strings.HasPrefix(image, before) || !strings.HasSuffix(image, after) {
			return "", "", false
		}
		return name, image[len(before) : len(image)-len(after)], true
	}
	return "", "", false
}
