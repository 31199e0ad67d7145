package dockercli

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func object(t *testing.T, s string) fields {
	t.Helper()
	var f fields
	if err := json.Unmarshal([]byte(s), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestCommandAndEntrypoint: all that a create can have said, told from what
// came of it (moby, daemon/commit.go, merge).
func TestCommandAndEntrypoint(t *testing.T) {
	const img = `{"Entrypoint":["/e"],"Cmd":["c"]}`
	for _, tc := range []struct{ name, img, shown, want string }{
		{"NothingSaid", img, `{"Entrypoint":["/e"],"Cmd":["c"]}`, `{}`},
		{"CmdSaid", img, `{"Entrypoint":["/e"],"Cmd":["x"]}`, `{"Cmd":["x"]}`},
		{"EntrypointSaidCmdNot", img, `{"Entrypoint":["/x"],"Cmd":null}`, `{"Entrypoint":["/x"],"Cmd":null}`},
		{"EntrypointSaidAsTheImage'sCmdNot", img, `{"Entrypoint":["/e"],"Cmd":null}`, `{"Entrypoint":["/e"],"Cmd":null}`},
		{"EntrypointSaidCmdAsTheImage's", img, `{"Entrypoint":["/x"],"Cmd":["c"]}`, `{"Entrypoint":["/x"],"Cmd":["c"]}`},
		{"EntrypointEmptied", img, `{"Entrypoint":null,"Cmd":["c"]}`, `{"Entrypoint":[""],"Cmd":["c"]}`},
		{"EntrypointEmptyListCmdInherited", img, `{"Entrypoint":[],"Cmd":["c"]}`, `{"Entrypoint":[]}`},
		{"EntrypointEmptyListCmdSaid", img, `{"Entrypoint":[],"Cmd":["x"]}`, `{"Entrypoint":[],"Cmd":["x"]}`},
		{"NoEntrypointInTheImage", `{"Cmd":["c"]}`, `{"Entrypoint":null,"Cmd":["c"]}`, `{}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := object(t, tc.shown)
			dropCommand(out, object(t, tc.img))
			if diff := cmp.Diff(object(t, tc.want), out); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestEnginesOwnPathsAreNotFrozen(t *testing.T) {
	of20 := []string{"/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"}
	for _, tc := range []struct {
		name  string
		paths []string
		own   bool
	}{
		{"Masked20.10", of20, true},
		{"MaskedNewer", append(of20[:len(of20):len(of20)], "/proc/interrupts", "/sys/devices/virtual/powercap"), true},
		{"ReadOnly", []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}, true},
		{"Unconfined", []string{}, false},
		{"Privileged", nil, false},
		{"User's", []string{"/proc/kcore"}, false},
		{"User'sToo", append(of20[:len(of20):len(of20)], "/run/secrets"), false},
	} {
		if got := maskedByDefault(tc.paths); got != tc.own {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestAddressesThatTheEngineMayHaveMadeUp(t *testing.T) {
	for _, tc := range []struct {
		endpoint, version string
		may               bool
	}{
		{`{"MacAddress":"02:42:0a:00:00:07","IPAddress":"10.0.0.7"}`, "1.44", true},
		{`{"MacAddress":"02:42:0a:00:00:08","IPAddress":"10.0.0.7"}`, "1.44", false},
		{`{"MacAddress":"6a:12:0a:00:00:08","IPAddress":"10.0.0.7"}`, "1.48", true},
		{`{"MacAddress":"00:42:0a:00:00:08","IPAddress":"10.0.0.7"}`, "1.48", false},
		{`{"MacAddress":""}`, "1.48", true},
	} {
		if got := mayBeMadeUp(object(t, tc.endpoint), tc.version); got != tc.may {
			t.Errorf("%s at %s: %v", tc.endpoint, tc.version, got)
		}
	}
}

func TestShortIDAndHostNameAreNoAliases(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	b := Blueprint{ID: id, Inspect: Inspection{Config: fields{"Hostname": []byte(`"web"`)}}}
	for _, tc := range []struct {
		name, version string
		shown, want   []string
	}{
		{"20.10", "1.41", []string{"a", "0123456789ab", "web"}, []string{"a"}},
		{"NewerKeepsTheUser's", "1.47", []string{"a", "web"}, []string{"a", "web"}},
		{"MadeBy20.10EngineUpgraded", "1.47", []string{"a", "0123456789ab", "web"}, []string{"a"}},
	} {
		if diff := cmp.Diff(tc.want, b.aliases(tc.shown, tc.version)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tc.name, diff)
		}
	}
}

func TestLinksAreTakenAsTheyWereGiven(t *testing.T) {
	for shown, want := range map[string]string{"/db:/web/database": "db:database", "db:database": "db:database", "db": "db"} {
		if got := takenLink(shown); got != want {
			t.Errorf("%s becomes %s; want %s", shown, got, want)
		}
	}
}

func FuzzSafeLine(f *testing.F) {
	f.Add("a\x1b[31mb\xff\x00")
	f.Fuzz(func(t *testing.T, s string) {
		out := safeLine(s)
		if !json.Valid(mustJSON(out)) || len(out) > 3*longestLine {
			t.Errorf("%q becomes %q", s, out)
		}
		for _, r := range out {
			if r < ' ' && r != '\t' && r != '\n' || r == 0x7f {
				t.Errorf("%q keeps %q", s, r)
			}
		}
	})
}

func mustJSON(s string) []byte {
	b, _ := json.Marshal(s)
	return b
}

// TestEnvironment: the user's variables stand first, the rest of the image's
// after them (the same merge).
func TestEnvironment(t *testing.T) {
	img := []string{"PATH=/bin", "DATA=/data", "V=1"}
	for _, tc := range []struct {
		name        string
		shown, want []string
	}{
		{"NothingSaid", []string{"PATH=/bin", "DATA=/data", "V=1"}, nil},
		{"Added", []string{"MINE=1", "PATH=/bin", "DATA=/data", "V=1"}, []string{"MINE=1"}},
		{"Changed", []string{"V=2", "PATH=/bin", "DATA=/data"}, []string{"V=2"}},
		{"SetToTheDefault", []string{"DATA=/data", "PATH=/bin", "V=1"}, []string{"DATA=/data"}},
		{"SetToTheDefaultAmongOthers", []string{"MINE=1", "DATA=/data", "PATH=/bin", "V=1"}, []string{"MINE=1", "DATA=/data"}},
		{"SetToTheDefaultOfTheFirst", []string{"PATH=/bin", "DATA=/data", "V=1"}, nil},
		{"AllSet", []string{"PATH=/bin", "V=1", "DATA=/x"}, []string{"DATA=/x"}},
		{"CopiedAndAddedTo", []string{"PATH=/bin", "DATA=/data", "V=1", "MINE=1"}, []string{"MINE=1"}},
		{"CopiedAfterOthers", []string{"MINE=1", "PATH=/bin", "DATA=/data", "V=1"}, []string{"MINE=1"}},
		{"WithoutValue", []string{"V", "PATH=/bin", "DATA=/data"}, []string{"V"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, usersEnv(tc.shown, img), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
