package composeenv_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/composeenv"
)

func TestTheCommandGetsWhatItNeedsAndWhatIsKnownOfIt(t *testing.T) {
	env := composeenv.Of(map[string]string{"PATH": "/bin", "HOME": "/root", "USER_PASSWORD": "hush", "PWD": "/ours", "COMPOSE_FILE": "/x"}, "/srv/shop")
	want := []string{"PATH=/bin", "HOME=/root", "COMPOSE_EXPERIMENTAL_GIT_REMOTE=false", "COMPOSE_EXPERIMENTAL_OCI_REMOTE=false", "PWD=/srv/shop"}
	if !slices.Equal(env, want) {
		t.Errorf("%q, want %q", env, want)
	}
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		if fixed, ok := composeenv.Fixed("/srv/shop")[name]; composeenv.IsOurs(name) == ok || ok && fixed != value {
			t.Errorf("%s is neither ours alone nor known", entry)
		}
	}
}
