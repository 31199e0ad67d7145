package imagefile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// service is what one file says of one service.
type service struct {
	image *yaml.Node // nil: nothing
	built bool
}

// lookUp reads what a file says of a service itself, without what it takes
// from elsewhere by an anchor, extends or include.
func lookUp(content []byte, name string) (service, error) {
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(content))
	if err := d.Decode(&doc); err != nil {
		return service{}, fmt.Errorf("it can't be read: %w", err)
	}
	if again := d.Decode(&yaml.Node{}); again == nil {
		return service{}, errors.New("it holds several documents")
	}
	if len(doc.Content) == 0 {
		return service{}, nil
	}
	services, err := member(doc.Content[0], "services")
	if err != nil || services == nil {
		return service{}, err
	}
	one, err := member(services, name)
	if err != nil || one == nil {
		return service{}, err
	}
	build, err := member(one, "build")
	if err != nil {
		return service{}, err
	}
	image, err := member(one, "image")
	if err != nil {
		return service{}, err
	}
	if image != nil && (image.Kind != yaml.ScalarNode || image.Anchor != "") {
		return service{}, fmt.Errorf("the image of %s is shared by an anchor, or is no text", name)
	}
	return service{image, build != nil}, nil
}

// member gives the value of a mapping's key, nil if it has none.
func member(of *yaml.Node, key string) (*yaml.Node, error) {
	if of.Kind == yaml.AliasNode || of.Anchor != "" {
		return nil, fmt.Errorf("what is said of %s is shared by an anchor", key)
	}
	if of.Kind != yaml.MappingNode {
		return nil, nil //nolint:nilnil // nothing is said of it
	}
	var found *yaml.Node
	for i := 0; i+1 < len(of.Content); i += 2 {
		if of.Content[i].Value != key {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%s is there twice", key)
		}
		found = of.Content[i+1]
	}
	return found, nil
}

// Plain is an Editor for what stands on one line.
type Plain struct{}

// SetImage implements Editor.
func (Plain) SetImage(content []byte, name, image string) ([]byte, error) {
	s, err := lookUp(content, name)
	if err != nil {
		return nil, err
	}
	if s.image == nil {
		return nil, fmt.Errorf("it doesn't say the image of %s", name)
	}
	at := offset(content, s.image.Line, s.image.Column)
	quote := map[yaml.Style]string{yaml.DoubleQuotedStyle: `"`, yaml.SingleQuotedStyle: "'"}[s.image.Style]
	if !bytes.HasPrefix(content[at:], []byte(quote+s.image.Value+quote)) {
		return nil, errors.New("the image isn't written plainly on one line")
	}
	at += len(quote)
	return splice(content, at, at+len(s.image.Value), image), nil
}

// offset is where a line and a column, in characters from 1, are in bytes.
func offset(content []byte, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		next := bytes.IndexByte(content[at:], '\n')
		if next < 0 {
			return len(content)
		}
		at += next + 1
	}
	for ; column > 1 && at < len(content); column-- {
		at++
		for at < len(content) && content[at]&0xC0 == 0x80 {
			at++
		}
	}
	return at
}

func splice(content []byte, from, to int, text string) []byte {
	return append(append(append([]byte{}, content[:from]...), text...), content[to:]...)
}

// SetVariable implements Editor.
func (Plain) SetVariable(env []byte, name, value string) ([]byte, error) {
	all := assignment(name).FindAllSubmatchIndex(env, -1)
	if len(all) != 1 {
		return nil, fmt.Errorf("%s is set %d times", name, len(all))
	}
	from, to := all[0][4], all[0][5]
	was, quote, err := plainValue(string(env[from:to]))
	if err != nil {
		return nil, fmt.Errorf("%s is set to something that %w", name, err)
	}
	if strings.ContainsAny(value, "\r\n\"'\\$# ") {
		return nil, fmt.Errorf("%q is no value for a tag", value)
	}
	from += len(quote)
	return splice(env, from, from+len(was), value), nil
}
