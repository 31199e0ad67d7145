package config

import (
	"fmt"
	"maps"
	"os"
	"reflect"

	"github.com/spf13/viper"
)

// delimiter separates the parts of viper's keys. It is no dot: hosts and user
// names have dots.
const delimiter = "::"

// Options say where to load from.
type Options struct {
	// File is the file to read, which must be there. Empty: $CONFIG_FILE in
	// $CONFIG_PATH, which must be there too; else the first that exists of
	// $CONFIG_PATH/config.yaml and Search.
	File string
	// Environ are NAME=value lines; nil is the process's environment.
	Environ []string
	// Search are the places for a file that nobody named. Nil is
	// ./config.yaml, /config/config.yaml and /etc/watch-docker/config.yaml.
	Search []string
}

// Load reads the file and the environment and checks the result. No file is
// fine, unless one was named. Nothing is written or made.
//
// The error is an *Error that holds everything that is wrong.
func Load(opts Options) (*Config, error) {
	if opts.Environ == nil {
		opts.Environ = os.Environ()
	}
	env := newEnvironment(opts.Environ)
	l := &loader{keys: Keys(), bad: map[string]bool{}, values: map[string]any{}, inputs: map[string]input{}}
	file, problem := findFile(opts, env)
	if problem != nil {
		l.problems = append(l.problems, *problem)
	}
	v := l.layers(file, env)
	l.readAll(v)
	l.readUserPassword()
	cfg, err := l.decode(v)
	if err != nil {
		return nil, err
	}
	cfg.file, cfg.blank, cfg.sources = file, l.blank, l.sources()
	l.problems = append(l.problems, cfg.inspect(l.inputs, l.bad)...)
	if err := asError(l.problems); err != nil {
		return nil, err
	}
	return cfg, nil
}

// loader carries one Load from step to step.
type loader struct {
	keys     []Key
	inputs   map[string]input // by key: what the strongest source says
	values   map[string]any   // the same, read into the field's type
	bad      map[string]bool  // keys that have a problem already
	blank    bool             // of the file
	problems []Problem
}

// layers hands viper what each source says, which decides between them. What
// it holds are inputs, opaque to it: a map would lose its capitals, and a
// value its line. Variables are handed over as well, not bound: a caller may
// give an environment other than the process's.
func (l *loader) layers(path string, env environment) *viper.Viper {
	file := map[string]input{}
	if path != "" {
		doc := readDocument(path, l.keys)
		l.problems = append(l.problems, doc.problems...)
		file, l.blank = doc.inputs(), doc.blank
	}
	variables := env.inputs(l.keys)
	l.problems = append(l.problems, env.unknown()...)
	accounts, found, problems := env.accounts(file["registry.auth"])
	l.problems = append(l.problems, problems...)
	if found {
		variables["registry.auth"] = accounts
	}
	replaceTogether(file, variables, "user.password", "user.passwordFile")

	v := viper.NewWithOptions(viper.KeyDelimiter(delimiter))
	for _, k := range l.keys {
		v.SetDefault(k.viperName(), k.fallback(env))
		if in, ok := variables[k.Name]; ok {
			v.Set(k.viperName(), in)
		}
	}
	// Its only error would be one of a file format; this is a map.
	_ = v.MergeConfigMap(nested(l.keys, file))
	return v
}

// replaceTogether: where the environment says one of several keys that belong
// together, none of them counts in the file.
func replaceTogether(file, variables map[string]input, names ...string) {
	for _, name := range names {
		if _, ok := variables[name]; ok {
			maps.DeleteFunc(file, func(key string, _ input) bool { return key == names[0] || key == names[1] })
		}
	}
}

func (k Key) viperName() string {
	name := ""
	for i, part := range k.path() {
		if i > 0 {
			name += delimiter
		}
		name += part
	}
	return name
}

// fallback is what counts if nobody says anything.
func (k Key) fallback(env environment) input {
	in := input{key: k.Name, text: k.Default, source: sourceDefault}
	if k.Name == keyStatePath {
		in.text, in.source = defaultStatePath(env)
	}
	return in
}

// nested makes the tree that a file is, of sections and inputs.
func nested(keys []Key, file map[string]input) map[string]any {
	root := map[string]any{}
	for _, k := range keys {
		in, ok := file[k.Name]
		if !ok {
			continue
		}
		section, path := root, k.path()
		for _, part := range path[:len(path)-1] {
			if section[part] == nil {
				section[part] = map[string]any{}
			}
			section = section[part].(map[string]any) // names of keys are no prefixes of each other
		}
		section[path[len(path)-1]] = in
	}
	return root
}

// readAll reads what won for each key into its type. A bad one counts as the
// default, so that everything else can be checked as well.
func (l *loader) readAll(v *viper.Viper) {
	for _, k := range l.keys {
		in := v.Get(k.viperName()).(input) // there is a default for every key
		value, faults := k.parse(in)
		if len(faults) > 0 {
			l.report(k, in, faults)
			value, _ = k.parse(input{text: k.Default})
		}
		l.inputs[k.Name], l.values[k.Name] = in, value
	}
}

func (l *loader) report(k Key, in input, faults []fault) {
	l.bad[k.Name] = true
	for _, f := range faults {
		l.problems = append(l.problems, k.problem(in, f))
	}
}

// readUserPassword reads user.passwordFile into user.password.
func (l *loader) readUserPassword() {
	given, _ := l.values["user.password"].(Secret)
	file, _ := l.values["user.passwordFile"].(string)
	if file == "" {
		return
	}
	password, faults := oneSecret(given, file)
	for _, k := range l.keys {
		if k.Name == "user.passwordFile" && len(faults) > 0 {
			faults[0].path = nil
			l.report(k, l.inputs[k.Name], faults)
			l.bad["user.password"] = true
			return
		}
	}
	l.values["user.password"] = password
	l.inputs["user.password"] = input{key: "user.password", source: l.inputs["user.passwordFile"].at(nil)}
}

// decode has viper put the values where their tags say.
func (l *loader) decode(v *viper.Viper) (*Config, error) {
	inputType := reflect.TypeFor[input]()
	hook := func(from, _ reflect.Value) (any, error) {
		if from.Type() != inputType {
			return from.Interface(), nil
		}
		return l.values[from.Interface().(input).key], nil
	}
	cfg := new(Config)
	if err := v.UnmarshalExact(cfg, viper.DecodeHook(hook)); err != nil {
		// Nothing that a user wrote leads here: the table and the struct disagree.
		return nil, fmt.Errorf("configuration keys don't fit the Config type: %w", err)
	}
	return cfg, nil
}

// sources are where the values came from that aren't defaults.
func (l *loader) sources() map[string]string {
	sources := map[string]string{}
	for name, in := range l.inputs {
		if !in.isDefault() {
			sources[name] = in.origin()
		}
	}
	return sources
}
