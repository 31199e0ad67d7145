package composefile

import (
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// describe takes down what the merged model says.
func (c *checker) describe(p *types.Project) {
	for _, name := range slices.Sorted(maps.Keys(p.AllServices())) {
		s, active := p.Services[name]
		if !active {
			s = p.DisabledServices[name]
		}
		c.report.Services = append(c.report.Services, c.service(s, active))
		c.lenders(s)
	}
	for _, key := range slices.Sorted(maps.Keys(p.Volumes)) {
		v := p.Volumes[key]
		c.report.Volumes = append(c.report.Volumes, Resource{key, v.Name, v.Driver, bool(v.External), c.locate("volumes", key)})
	}
	for _, key := range slices.Sorted(maps.Keys(p.Networks)) {
		n := p.Networks[key]
		c.report.Networks = append(c.report.Networks, Resource{key, n.Name, n.Driver, bool(n.External), c.locate("networks", key)})
	}
}

// lenders are the containers that volumes_from names, and not by a service.
func (c *checker) lenders(s types.ServiceConfig) {
	for _, from := range s.VolumesFrom {
		spec, ok := strings.CutPrefix(from, "container:")
		if !ok {
			continue
		}
		l := Lender{Service: s.Name, Written: from, Place: c.locate("services", s.Name, "volumes_from")}
		l.Container, _, _ = strings.Cut(spec, ":")
		if item := c.item(from, "services", s.Name, "volumes_from"); item != nil {
			l.Written, l.Place = item.text, item.at
		}
		c.report.Lenders = append(c.report.Lenders, l)
	}
}

func (c *checker) service(s types.ServiceConfig, active bool) Service {
	out := Service{
		Name: s.Name, Image: s.Image, Build: s.Build != nil, Profiles: s.Profiles, Active: active,
		Restart: restart(s), Replicas: s.GetScale(), ContainerName: s.ContainerName, NetworkMode: s.NetworkMode,
		Healthcheck: s.HealthCheck != nil && !s.HealthCheck.Disable && len(s.HealthCheck.Test) > 0 && s.HealthCheck.Test[0] != "NONE",
		Published:   len(s.Ports) > 0,
		At:          c.locate("services", s.Name),
	}
	out.ImageWritten, out.ImageAt = c.imageOf(s.Name, s.Image)
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		d := s.DependsOn[name]
		out.DependsOn = append(out.DependsOn, Dependency{name, d.Condition, d.Restart, d.Required})
	}
	return out
}

// restart is the policy that Compose gives the container.
func restart(s types.ServiceConfig) string {
	if s.Restart != "" || s.Deploy == nil || s.Deploy.RestartPolicy == nil {
		return s.Restart
	}
	switch condition := s.Deploy.RestartPolicy.Condition; condition {
	case "none":
		return "no"
	case "any", "":
		return "always"
	default:
		return condition
	}
}

// imageOf is where a service's image is written: in its own entry, the last
// of them, or that of a service which it extends.
func (c *checker) imageOf(service, image string) (written string, at Place) {
	found := func(n *node) bool {
		if n == nil || n.str() != image {
			return false
		}
		written, at = n.text, n.at
		return true
	}
	for _, f := range append(slices.Clone(c.all), c.files...) {
		for _, doc := range f.docs {
			found(doc.get("services", service, "image"))
		}
	}
	if at != (Place{}) || image == "" {
		return written, at
	}
	for _, f := range c.all {
		for _, doc := range f.docs {
			doc.get("services").each(func(_ string, _ Place, s *node) { found(s.get("image")) })
		}
	}
	return written, at
}

// sketch tells of the services what can be told of files that are wrong.
func (c *checker) sketch() {
	for _, f := range c.files {
		for _, doc := range f.docs {
			doc.get("services").each(func(name string, at Place, s *node) {
				i := slices.IndexFunc(c.report.Services, func(have Service) bool { return have.Name == name })
				if i < 0 {
					i = len(c.report.Services)
					c.report.Services = append(c.report.Services, Service{Name: name, At: at, Replicas: 1, Active: s.get("profiles") == nil})
				}
				if image := s.get("image"); image != nil {
					have := &c.report.Services[i]
					have.Image, have.ImageWritten, have.ImageAt = image.str(), image.text, image.at
				}
				c.report.Services[i].Build = c.report.Services[i].Build || s.get("build") != nil
			})
		}
	}
}
