// Package config is the whole configuration of the program as one typed
// value. Load makes a Config from a YAML file and the environment; a Watcher
// keeps it current while the file changes.
//
// The table in keys.go is the one place that says which keys there are, which
// environment variables set them, what their defaults are, what they may be,
// and whether changing them needs a restart. Whatever is wrong is reported at
// once, as an *Error with one Problem for each thing to mend.
//
// From weakest to strongest: default, file, environment. A variable that is
// set but empty counts as not set (Compose files pass such ones on); a list
// that is to be empty against a non-empty default is [] in the file or a
// single comma in the environment.
package config

import (
	"net/netip"
	"net/url"
	"strings"
	"time"
	_ "time/tzdata" // zones are checked, and used, on hosts that have none installed
)

// Config is the configuration. A value from Load or a Watcher is complete,
// checked, and never changed afterwards: share it, don't write to it.
type Config struct {
	Server   ServerConfig   `mapstructure:"server"`
	Docker   DockerConfig   `mapstructure:"docker"`
	Scan     ScanConfig     `mapstructure:"scan"`
	Update   UpdateConfig   `mapstructure:"update"`
	Policy   PolicyConfig   `mapstructure:"policy"`
	Registry RegistryConfig `mapstructure:"registry"`
	Logging  LoggingConfig  `mapstructure:"logging"`
	Audit    AuditConfig    `mapstructure:"audit"`
	TwoFA    TwoFAConfig    `mapstructure:"twofa"`
	Shell    ShellConfig    `mapstructure:"shell"`
	User     UserConfig     `mapstructure:"user"`
	Compose  ComposeConfig  `mapstructure:"compose"`
	Metrics  MetricsConfig  `mapstructure:"metrics"`
	// StatePath is the folder of the database, the signing key, the lock and
	// the command socket; always an absolute path. Load doesn't make it.
	StatePath string `mapstructure:"statePath"`

	file    string            // what was read, "" for none
	blank   bool              // the file has nothing in it, not even a comment
	sources map[string]string // by key: where its value came from; absent is the default
}

// File is the path of the file that was read, "" if there was none.
func (c *Config) File() string { return c.file }

// ServerConfig is how the program is reached.
type ServerConfig struct {
	// Addr is host:port to listen on; an empty host is every address, port 0 any free one.
	Addr string `mapstructure:"addr"`
	// BaseURL is the public URL, without a slash at the end; nil if not set.
	BaseURL *url.URL  `mapstructure:"baseURL"`
	TLS     TLSConfig `mapstructure:"tls"`
	// CORSOrigins are scheme://host[:port] as browsers send them: lower case, no default port.
	CORSOrigins []string `mapstructure:"corsOrigins"`
	// TrustedProxies are the networks whose X-Forwarded-* and X-Original-Host count.
	TrustedProxies []netip.Prefix `mapstructure:"trustedProxies"`
}

// BasePath is the path part of BaseURL: "" or such as "/watch".
func (c ServerConfig) BasePath() string {
	if c.BaseURL == nil {
		return ""
	}
	return c.BaseURL.EscapedPath()
}

// Origin is BaseURL as a browser names it in an Origin header, "" without one.
func (c ServerConfig) Origin() string {
	if c.BaseURL == nil {
		return ""
	}
	return origin(c.BaseURL)
}

// TLSConfig names PEM files; both or neither are set.
type TLSConfig struct {
	Cert string `mapstructure:"cert"`
	Key  string `mapstructure:"key"`
}

// DockerConfig is the engine to watch.
type DockerConfig struct {
	// Host is unix://, tcp:// or npipe://; empty is the platform's socket.
	Host string `mapstructure:"host"`
	// IncludeStopped has stopped containers scanned too.
	IncludeStopped bool `mapstructure:"includeStopped"`
}

// ScanConfig is when and how registries are asked.
type ScanConfig struct {
	Interval           time.Duration `mapstructure:"interval"`
	InitialScanOnStart bool          `mapstructure:"initialScanOnStart"`
	// Concurrency is the number of registry requests under way at once, 1 to 64.
	Concurrency int           `mapstructure:"concurrency"`
	CacheTTL    time.Duration `mapstructure:"cacheTTL"`
	ErrorTTL    time.Duration `mapstructure:"errorTTL"`
}

// UpdateConfig is when and how containers are updated.
type UpdateConfig struct {
	// Enabled false: no update by schedule; by hand still works.
	Enabled bool `mapstructure:"enabled"`
	// AutoUpdateCron is for ParseCron; empty: nothing by itself.
	AutoUpdateCron string `mapstructure:"autoUpdateCron"`
	// Timezone is an IANA name, UTC or Local; see Location.
	Timezone           string `mapstructure:"timezone"`
	Concurrency        int    `mapstructure:"concurrency"`
	AllowComposeUpdate bool   `mapstructure:"allowComposeUpdate"`
	RemoveOldContainer bool   `mapstructure:"removeOldContainer"`
	// KeepImages is how many previous images are kept per container for a rollback.
	KeepImages    int           `mapstructure:"keepImages"`
	HealthTimeout time.Duration `mapstructure:"healthTimeout"`
	StableFor     time.Duration `mapstructure:"stableFor"`
}

// Location is Timezone as a location. Load has checked the name; an unknown
// one in a value made by hand counts as local time.
func (c UpdateConfig) Location() *time.Location {
	zone, err := time.LoadLocation(c.Timezone)
	if err != nil || c.Timezone == "" {
		return time.Local
	}
	return zone
}

// PolicyConfig is which containers are left alone. Labels are "key" or "key=value".
type PolicyConfig struct {
	SkipLabels       []string `mapstructure:"skipLabels"`
	OnlyLabels       []string `mapstructure:"onlyLabels"`
	ForceLabels      []string `mapstructure:"forceLabels"`
	SkipLocalBuild   bool     `mapstructure:"skipLocalBuild"`
	SkipPinnedDigest bool     `mapstructure:"skipPinnedDigest"`
	SkipSemverPinned bool     `mapstructure:"skipSemverPinned"`
	// FloatingTags, if there are any, are the only tags that are followed.
	FloatingTags []string `mapstructure:"floatingTags"`
}

// RegistryConfig is how registries are reached. Hosts are host[:port], as written.
type RegistryConfig struct {
	Auth []RegistryAuthConfig `mapstructure:"auth"`
	// Insecure hosts may speak plain HTTP or show a certificate that can't be
	// verified. Loopback addresses need no entry.
	Insecure []string `mapstructure:"insecure"`
	// Mirrors is registry host -> mirror, as host[:port] or http(s)://host[:port].
	Mirrors map[string]string `mapstructure:"mirrors"`
}

// RegistryAuthConfig is the account for one registry.
type RegistryAuthConfig struct {
	Host     string `mapstructure:"host"`
	Username string `mapstructure:"username"`
	Password Secret `mapstructure:"password"`
	// PasswordFile is where Password was read from, "" if it was given itself.
	PasswordFile string `mapstructure:"passwordFile"`
}

// LoggingConfig is what is logged and how.
type LoggingConfig struct {
	// Level is debug, info, warn or error.
	Level string `mapstructure:"level"`
	// Format is json or console; empty is console on a terminal, else json.
	Format string `mapstructure:"format"`
}

// AuditConfig is about the record of who did what.
type AuditConfig struct {
	// Retention is how long entries are kept.
	Retention time.Duration `mapstructure:"retention"`
}

// TwoFAConfig is about the second factor.
type TwoFAConfig struct {
	// Required: every user must have a second factor.
	Required bool `mapstructure:"required"`
	// AllowedDomains are host names that a factor may be used on; empty: BaseURL's, or the request's own.
	AllowedDomains []string `mapstructure:"allowedDomains"`
	// Users, by name as written, are imported once into the store.
	Users map[string]TwoFAUserConfig `mapstructure:"users"`
}

// TwoFAUserConfig is what an older installation kept about a user's factors.
type TwoFAUserConfig struct {
	// Method is otp or webauthn; empty if nothing is set up.
	Method    string `mapstructure:"method"`
	OTPSecret Secret `mapstructure:"otpSecret"`
	// WebAuthnCredentials are as the file has them; whoever imports them knows their shape.
	WebAuthnCredentials []map[string]any `mapstructure:"webauthnCredentials"`
	IsSetup             bool             `mapstructure:"isSetup"`
}

// ShellConfig is about shells.
type ShellConfig struct {
	// HostEnabled offers a shell where Watch Docker itself runs.
	HostEnabled bool `mapstructure:"hostEnabled"`
}

// UserConfig is the first administrator. Both or neither of Name and Password are set.
type UserConfig struct {
	Name     string `mapstructure:"name"`
	Password Secret `mapstructure:"password"`
	// PasswordFile is where Password was read from, "" if it was given itself.
	PasswordFile string `mapstructure:"passwordFile"`
}

// ComposeConfig is where Compose projects are.
type ComposeConfig struct {
	// Path holds the root folders of projects.
	Path []string `mapstructure:"path"`
}

// MetricsConfig is about /metrics.
type MetricsConfig struct {
	// Public serves /metrics without a token.
	Public bool `mapstructure:"public"`
}

// origin is scheme://host[:port] as a browser writes it: lower case, without
// the scheme's own port (RFC 6454, section 6.2).
func origin(u *url.URL) string {
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if port := map[string]string{"http": ":80", "https": ":443"}[scheme]; port != "" {
		host = strings.TrimSuffix(host, port)
	}
	return scheme + "://" + host
}
