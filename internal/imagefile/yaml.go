package imagefile

import (
	"bytes"
	"errors"
	"fmt"

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
