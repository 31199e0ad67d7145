package composefile_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestWhatIsSaidOfFilesHasNoValueOfVariables(t *testing.T) {
	const env = "DB_PASSWORD=hunter2\nDB_URL_SECRET=tcp://ann:s3cret@db\nBADKEY='a b'\nPLAIN=openly\n"
	for name, file := range map[string]string{
		"a number":               web + "    deploy: {replicas: '${DB_PASSWORD}'}\n",
		"a number, whoever says": web + "    deploy: {replicas: '${PLAIN}'}\n",
		"a choice":               web + "    pull_policy: '${DB_PASSWORD}'\n",
		"a duration":             web + "    healthcheck: {interval: '${DB_PASSWORD}'}\n",
		"a size":                 web + "    mem_limit: '${DB_PASSWORD}'\n",
		"a port":                 web + "    ports: ['${DB_PASSWORD}:80']\n",
		"a part of a port":       web + "    ports: ['${DB_URL_SECRET}']\n",
		"a part of a volume":     web + "    volumes: ['${DB_URL_SECRET}']\n",
		"a volume":               web + "    volumes: ['${DB_PASSWORD}:/x']\n",
		"a network":              web + "    networks: ['${DB_PASSWORD}']\n",
		"a service":              web + "    depends_on: ['${DB_PASSWORD}']\n",
		"a secret":               web + "    secrets: ['${DB_PASSWORD}']\n",
		"a base":                 web + "    extends: '${DB_PASSWORD}'\n",
		"a file's base":          web + "    extends: {file: sub/in.yaml, service: '${DB_PASSWORD}'}\n",
		"a base's file":          web + "    extends: {file: '${DB_PASSWORD}', service: a}\n",
		"an include":             "include: ['${DB_PASSWORD}/x']\n",
		"an include elsewhere":   "include: ['https://${DB_PASSWORD}/x']\n",
		"an include above":       "include: ['../../${DB_PASSWORD}']\n",
		"an include's folder":    "include: [{path: sub/in.yaml, project_directory: '/${DB_PASSWORD}'}]\n",
		"an include's env":       "include: [{path: sub/in.yaml, env_file: '${DB_PASSWORD}'}]\n",
		"of another project":     "include: [{path: sub/other.yaml, env_file: ../other/.env}]\n",
		"an env_file":            web + "    env_file: '${DB_PASSWORD}'\n",
		"a Dockerfile":           web + "    build: {context: ., dockerfile: '/${DB_PASSWORD}'}\n",
		"a mount":                web + "    volumes: ['/etc/${DB_PASSWORD}:/x']\n    privileged: x\n",
		"a protection":           web + "    security_opt: ['${DB_PASSWORD}:unconfined']\n    privileged: x\n",
		"a reason":               web + "    command: '${GONE:?${DB_PASSWORD}}'\n",
		"no variable":            web + "    command: 'hunter2 ${'\n",
		"an anchor":              web + "    environment: {DB_PASSWORD: *hunter2}\n",
		"a tag":                  web + "    environment: {DB_PASSWORD: !!int hunter2}\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := check(t, map[string]string{
				"app/compose.yaml": file, "app/.env": env, "app/sub/in.yaml": "services: {in: {image: a}}\n",
				"app/sub/other.yaml": "services: {in: {image: a, mem_limit: '${ROOT_PASSWORD}'}}\n", "other/.env": "ROOT_PASSWORD=hunter2\n",
			})
			if len(r.Problems) == 0 {
				t.Error("it is no problem")
			}
			for _, secret := range []string{"hunter2", "s3cret", "ann", "openly"} {
				if said := fmt.Sprint(r.Problems, r.Notes); strings.Contains(said, secret) {
					t.Errorf("it says %s: %s", secret, said)
				}
			}
		})
	}
}

func TestWhatIsSaidOfAnEnvFileHasNothingOfItsLines(t *testing.T) {
	for _, line := range []string{"A=${ line 3: hunter2", "A=hunter2${", "hunter2 is no line", "A=\"hunter2", "B=hunter2\nA=${GONE:?${B}}", "A=${GONE:?${B-hunter2}}"} {
		r := check(t, map[string]string{"app/compose.yaml": web, "app/.env": line + "\n"})
		if len(r.Problems) != 1 || strings.Contains(fmt.Sprint(r.Problems), "hunter2") {
			t.Errorf("%s: %v", line, r.Problems)
		}
	}
}

func TestNotesHaveNoSecretsThatVariablesBring(t *testing.T) {
	r := check(t, map[string]string{
		"app/compose.yaml": web + "    volumes: ['/etc/${DB_PASSWORD}/x:/x']\n    security_opt: ['${DB_PASSWORD}:unconfined']\n    environment: ['${DB_PASSWORD}=://a:b@c']\n",
		"app/.env":         "DB_PASSWORD=hunter2\n",
	})
	if said := fmt.Sprint(r.Notes); len(r.Problems) > 0 || !strings.Contains(said, "/etc/***/x") || strings.Contains(said, "hunter2") {
		t.Errorf("%v %v", r.Notes, r.Problems)
	}
}

func TestAReportConcealsWhatSecretsAreIn(t *testing.T) {
	r := check(t, map[string]string{"app/compose.yaml": web, "app/.env": "DB_PASSWORD=hun.ter22/x\nPIN=12\nUSE_AUTH=true\nCOLOUR=red\n"})
	for text, want := range map[string]string{
		"hun.ter22/x": "***", "a hun.ter22/x b": "a *** b", "12": "***", "1234": "1234", "true": "true", "red": "red", "": "", "/ter22": "/ter22",
	} {
		if got := r.Conceal(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	if got := r.ConcealParts("/srv/TER22/y"); got != "/srv/***/y" {
		t.Error(got)
	}
}
