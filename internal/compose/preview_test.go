package compose_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/watch-docker/watch-docker/internal/compose"
	"github.com/watch-docker/watch-docker/internal/composecli"
	"github.com/watch-docker/watch-docker/internal/dockercli"
	"github.com/watch-docker/watch-docker/internal/project"
)

func TestAnEngineThatGoesAwayInAPreviewIsSaid(t *testing.T) {
	w := newWorld(t)
	w.write(map[string]string{"shop/compose.yaml": "services: {web: {image: app}}\n"})
	up := compose.Request{Project: "shop", Action: composecli.Action{Kind: composecli.Up}}
	_, err := w.Preview(t.Context(), up)
	w.must(err)
	w.host.previewed = func() { w.host.away = fmt.Errorf("list: %w", dockercli.ErrUnavailable) }
	if _, err := w.Preview(t.Context(), up); !errors.Is(err, project.ErrUnreachable) {
		t.Errorf("%v", err)
	}
}
