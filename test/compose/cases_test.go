package compose_test

import "github.com/watch-docker/watch-docker/test/testbed"

// A testCase is a Compose project, all of whose containers are updated.
type testCase struct {
	name   string
	file   string
	files  map[string]string
	images map[string]testbed.ImageOptions // by name; nil: a plain one called app
	args   []string
}

func cases() []testCase {
	return []testCase{
		{name: "plain", file: `
services:
  app:
    image: OUR/app
`},
		{name: "platform", file: `
services:
  app:
    image: OUR/app
    platform: linux/amd64
`},
	}
}
