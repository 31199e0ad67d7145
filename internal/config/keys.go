package config

import (
	"slices"
	"strings"
	"time"
)

// Key is one row of the table that everything in this package works from.
type Key struct {
	// Name is the dotted key, its last part as in the file: "scan.cacheTTL".
	Name string
	// Env are the variables that set it, the strongest first. For an indexed
	// list they are those of entry 0.
	Env []string
	// Default is the default as one would write it in the environment. Empty
	// is none, or one that depends on the machine (statePath).
	Default string
	// Restart says that a change counts only after a restart.
	Restart bool
	// Secret says that the value must not be shown.
	Secret bool

	indexed bool
	parse   func(input) (any, []fault)
	check   func(any) []fault
}

// Keys is the table, in the order in which people want to read it.
func Keys() []Key {
	return slices.Concat(serverKeys(), dockerKeys(), scanKeys(), updateKeys(), policyKeys(),
		registryKeys(), loggingKeys(), auditKeys(), signInKeys(), placeKeys())
}

// RestartKeys are the names of the keys that can't change while the program
// runs: a Watcher keeps their old values and names them in the log.
func RestartKeys() []string {
	var names []string
	for _, k := range Keys() {
		if k.Restart {
			names = append(names, k.Name)
		}
	}
	return names
}

// EnvNames are all variables that are read. An indexed one is there with
// index 0.
func EnvNames() []string {
	names := []string{envConfigPath, envConfigFile}
	for _, k := range Keys() {
		names = append(names, k.Env...)
	}
	return names
}

func serverKeys() []Key {
	return []Key{
		define("server.addr", ":8080", text, listenAddress).env("WATCH_SERVER_ADDR").restart(),
		define("server.baseURL", "", absoluteURL, baseURL).env("WATCH_SERVER_BASE_URL").restart(),
		define("server.tls.cert", "", text).env("WATCH_SERVER_TLS_CERT").restart(),
		define("server.tls.key", "", text).env("WATCH_SERVER_TLS_KEY").restart(),
		define("server.corsOrigins", "", origins).env("WATCH_SERVER_CORS_ORIGINS").restart(),
		define("server.trustedProxies", "", networks, each(notEverybody)).env("WATCH_SERVER_TRUSTED_PROXIES").restart(),
		define("metrics.public", "false", boolean).env("WATCH_METRICS_PUBLIC"),
	}
}

func dockerKeys() []Key {
	return []Key{
		define("docker.host", "", text, engineHost).env("WATCH_DOCKER_HOST", "DOCKER_HOST").restart(),
		define("docker.includeStopped", "false", boolean).env("WATCH_DOCKER_INCLUDE_STOPPED"),
	}
}

func scanKeys() []Key {
	return []Key{
		// Ten seconds: a scan costs a request for each image, also of people who mistype.
		define("scan.interval", "10m", duration, spanOf(10*time.Second, month)).env("WATCH_SCAN_INTERVAL"),
		define("scan.initialScanOnStart", "true", boolean).env("WATCH_SCAN_INITIAL_SCAN_ON_START"),
		define("scan.concurrency", "8", integer, numberOf(1, 64)).env("WATCH_SCAN_CONCURRENCY"),
		define("scan.cacheTTL", "5m", duration, spanOf(0, month)).env("WATCH_SCAN_CACHE_TTL"),
		define("scan.errorTTL", "30s", duration, spanOf(0, month)).env("WATCH_SCAN_ERROR_TTL"),
	}
}

func updateKeys() []Key {
	return []Key{
		define("update.enabled", "true", boolean).env("WATCH_UPDATE_ENABLED"),
		define("update.autoUpdateCron", "", text, cronExpression).env("WATCH_UPDATE_AUTO_UPDATE_CRON"),
		define("update.timezone", "Local", text, timeZone).env("WATCH_UPDATE_TIMEZONE", envTZ),
		define("update.concurrency", "2", integer, numberOf(1, 32)).env("WATCH_UPDATE_CONCURRENCY"),
		define("update.allowComposeUpdate", "true", boolean).env("WATCH_UPDATE_ALLOW_COMPOSE_UPDATE"),
		define("update.removeOldContainer", "true", boolean).env("WATCH_UPDATE_REMOVE_OLD_CONTAINER"),
		define("update.keepImages", "1", integer, numberOf(0, 100)).env("WATCH_UPDATE_KEEP_IMAGES"),
		define("update.healthTimeout", "2m", duration, spanOf(time.Second, day)).env("WATCH_UPDATE_HEALTH_TIMEOUT"),
		define("update.stableFor", "10s", duration, spanOf(time.Second, day)).env("WATCH_UPDATE_STABLE_FOR"),
	}
}

func policyKeys() []Key {
	return []Key{
		define("policy.skipLabels", "watchdocker.skip=true", texts, each(label)).env("WATCH_POLICY_SKIP_LABELS"),
		define("policy.onlyLabels", "", texts, each(label)).env("WATCH_POLICY_ONLY_LABELS"),
		define("policy.forceLabels", "watchdocker.force=true", texts, each(label)).env("WATCH_POLICY_FORCE_LABELS"),
		define("policy.skipLocalBuild", "true", boolean).env("WATCH_POLICY_SKIP_LOCAL_BUILD"),
		define("policy.skipPinnedDigest", "true", boolean).env("WATCH_POLICY_SKIP_PINNED_DIGEST"),
		define("policy.skipSemverPinned", "true", boolean).env("WATCH_POLICY_SKIP_SEMVER_PINNED"),
		define("policy.floatingTags", "", texts, each(imageTag)).env("WATCH_POLICY_FLOATING_TAGS"),
	}
}

func registryKeys() []Key {
	return []Key{
		define("registry.auth", "", accounts, accountHosts).indexedEnv(authEnv+"0_", authFields()...),
		define("registry.insecure", "", texts, each(registryHost)).env("WATCH_REGISTRY_INSECURE"),
		define("registry.mirrors", "", pairs, mirrors).env("WATCH_REGISTRY_MIRRORS"),
	}
}

func loggingKeys() []Key {
	return []Key{
		define("logging.level", "info", text, oneOf("debug", "info", "warn", "error")).env("WATCH_LOGGING_LEVEL"),
		define("logging.format", "", text, oneOf("", "json", "console")).env("WATCH_LOGGING_FORMAT").restart(),
	}
}

func auditKeys() []Key {
	return []Key{
		define("audit.retention", "8760h", duration, spanOf(day, 100*year)).env("WATCH_AUDIT_RETENTION"),
	}
}

func signInKeys() []Key {
	return []Key{
		define("user.name", "", text, userName).env("USER_NAME").restart(),
		define("user.password", "", secret, passwordLength).env("USER_PASSWORD").secret().restart(),
		define("user.passwordFile", "", text).env("USER_PASSWORD_FILE").restart(),
		define("twofa.required", "false", boolean).env("IS_SECONDARY_VERIFICATION"),
		define("twofa.allowedDomains", "", texts, each(domain)).env("TWOFA_ALLOWED_DOMAINS"),
		define("twofa.users", "", factors).restart(),
		define("shell.hostEnabled", "false", boolean).env("IS_OPEN_DOCKER_SHELL"),
	}
}

func placeKeys() []Key {
	return []Key{
		define("compose.path", "", folders).env("APP_PATH").restart(),
		define(keyStatePath, "", folder).env("STATE_PATH").restart(),
	}
}

// define makes a key of a type from how its text is read and what must hold of the value.
func define[T any](name, def string, read func(input) (T, []fault), rules ...func(T) []fault) Key {
	return Key{
		Name:    name,
		Default: def,
		parse: func(in input) (any, []fault) {
			return read(in)
		},
		check: func(value any) []fault {
			var faults []fault
			for _, rule := range rules {
				faults = append(faults, rule(value.(T))...)
			}
			return faults
		},
	}
}

func (k Key) env(names ...string) Key { k.Env = names; return k }
func (k Key) restart() Key            { k.Restart = true; return k }
func (k Key) secret() Key             { k.Secret = true; return k }

func (k Key) indexedEnv(prefix string, fields ...string) Key {
	for _, field := range fields {
		k.Env = append(k.Env, prefix+field)
	}
	k.indexed = true
	return k
}

// path is the name in its parts.
func (k Key) path() []string { return strings.Split(k.Name, ".") }
