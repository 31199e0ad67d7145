package composefile_test

import (
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/composefile"
)

func TestWhatLooksLikeASecretIsMasked(t *testing.T) {
	for _, c := range []struct{ content, want string }{
		{"services:\n  db:\n    image: acme/db:1\n", ""},
		{"secrets:\n  db:\n    file: ./db\n", ""},
		{"    environment:\n      DB_PASSWORD: hush # mine\n      COLOUR: red\n", "    environment:\n      DB_PASSWORD: ***\n      COLOUR: red\n"},
		{"      - \"DB_PASSWORD=hush\"\r\n      - COLOUR=red\r\n", "      - \"DB_PASSWORD=***\r\n      - COLOUR=red\r\n"},
		{"    environment: {COLOUR: red, API_KEY: hush, SIZE: 3}\n", "    environment: {COLOUR: red, API_KEY: ***\n"},
		{"      KEY: |\n        hush\n        hush\n      COLOUR: red\n", "      KEY: ***\n      COLOUR: red\n"},
		{"      TOKEN: \"hush\n        hush\"\n    ports: []\n", "      TOKEN: ***\n    ports: []\n"},
		{"    command: serve --token hush\n", ""}, // no assignment; see the note of the risk
		{"    command: serve --token=hush\n", "    command: serve --token=***\n"},
		{"      URL: postgres://ann:hush@db/shop\n", "      URL: postgres***\n"},
		{"      TOKEN: ${TOKEN:?say it}\n      KEY: \"$KEY\"\n", ""},
		{"      TOKEN: ${TOKEN:-hush}\n", "      TOKEN: ***\n"},
		{"TOKEN=hush\nexport KEY='hush'\nCOLOUR=red\nEMPTY_KEY=\n", "TOKEN=***\nexport KEY=***\nCOLOUR=red\nEMPTY_KEY=\n"},
		{"TLS_KEY=\"-----BEGIN PRIVATE KEY-----\nhush\nhush\n-----END PRIVATE KEY-----\"\nCOLOUR=red\n", "TLS_KEY=***\nCOLOUR=red\n"},
		{"TOKEN='hush\r\nit\\'s hush\r\n\r\nhush'\r\nCOLOUR=red\r\n", "TOKEN=***\r\nCOLOUR=red\r\n"},
		{"TOKEN=\"hush\nhush", "TOKEN=***\n"},
		{"TOKEN=''\nCOLOUR='red'\nKEY='a\\\\'\nSIZE='3'\n", "TOKEN=***\nCOLOUR='red'\nKEY=***\nSIZE='3'\n"},
		{"    tls: |\n      -----BEGIN RSA PRIVATE KEY-----\n      hush\n      -----END RSA PRIVATE KEY-----\n    ports: []\n", "    tls: |\n      ***\n    ports: []\n"},
		{"    environment:\n    - \"TOKEN=hush\n     hush\"\n    - COLOUR=red\n", "    environment:\n    - \"TOKEN=***\n    - COLOUR=red\n"},
		{"      KEY: |\n        hush\n\n        hush\n\n      COLOUR: red\n", "      KEY: ***\n\n      COLOUR: red\n"},
		{"      \"KEY\": 'it''s hush'\n      COLOUR: red\n", "      \"KEY\": ***\n      COLOUR: red\n"},
		{"\xff\xfe no: [yaml\n  password: hush", "\xff\xfe no: [yaml\n  password: ***"},
	} {
		got, masked := composefile.Mask([]byte(c.content), "***")
		want := c.want
		if want == "" {
			want = c.content
		}
		if string(got) != want || masked != (c.want != "") {
			t.Errorf("of %q: %q %v", c.content, got, masked)
		}
		if c.want != "" && strings.Contains(string(got), "hush") {
			t.Errorf("it is still there: %q", got)
		}
	}
}
