package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// assignment is one option given a value somewhere.
type assignment struct {
	option *option
	text   string
	source string // as it begins an error's line
}

// Load makes the configuration from a subcommand's arguments, the environment (as os.Environ has it) and the file that one of
// them names. It reads the schemas and programs that the file names, which are compiled, and touches nothing. An error is one line that names where the fault is; ErrHelp asks
// for the help. Warnings are lines that are worth logging whether or not there was an error; they hold no values, which may
// be secrets.
func Load(args, environ []string) (c *Config, warnings []string, err error) {
	flags, err := parseArgs(args)
	if err != nil {
		return nil, nil, err
	}
	env, warnings, err := parseEnv(environ)
	if err != nil {
		return nil, warnings, err
	}
	early := &Config{}
	if err := early.apply(env, flags); err != nil {
		return nil, warnings, err
	}
	var file *file
	if early.File != "" {
		if file, err = readFile(early.File); err != nil {
			return nil, warnings, err
		}
	}

	c = &Config{}
	layers := [][]assignment{env, flags}
	if file != nil {
		layers = [][]assignment{file.assignments, env, flags}
	}
	// Which defaults hold depends on --dev, wherever it is given.
	if err := c.apply(layers...); err != nil {
		return nil, warnings, err
	}
	c = defaults(c.Dev)
	if err := c.apply(layers...); err != nil {
		return nil, warnings, err
	}
	if c.Identity == "" {
		warning, err := c.defaultIdentity(environ)
		if err != nil {
			return nil, warnings, err
		}
		if warning != "" {
			warnings = append(warnings, warning)
		}
	}
	if err := c.resolveTopics(file); err != nil {
		return nil, warnings, err
	}
	if file != nil {
		c.Users = file.users
	}
	if err := c.validate(); err != nil {
		return nil, warnings, err
	}
	return c, warnings, nil
}

// defaults has what the table says.
func defaults(dev bool) *Config {
	c := &Config{sources: map[string]string{}}
	for i := range options {
		o := &options[i]
		def := o.def
		if dev && o.dev != "" {
			def = o.dev
		}
		if def == "" {
			continue
		}
		if err := o.value(c).parse(def); err != nil {
			panic("config: the default of " + o.name + ": " + err.Error())
		}
	}
	return c
}

// apply lays layers over what is there, each over those before. A list is replaced by the first assignment of a layer and
// added to by the others.
func (c *Config) apply(layers ...[]assignment) error {
	if c.sources == nil {
		c.sources = map[string]string{}
	}
	for _, layer := range layers {
		started := map[*option]bool{}
		for _, a := range layer {
			v := a.option.value(c)
			if l, ok := v.(appendable); ok && !started[a.option] {
				l.reset()
			}
			started[a.option] = true
			if err := v.parse(a.text); err != nil {
				return fmt.Errorf("%s: %w", a.source, err)
			}
			c.sources[a.option.name] = a.source
		}
	}
	return nil
}

// parseArgs takes --name value, --name=value, and --name alone for a boolean.
func parseArgs(args []string) ([]assignment, error) {
	var out []assignment
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "-h" || arg == "--help" || arg == "-help" {
			return nil, ErrHelp
		}
		name, ok := strings.CutPrefix(arg, "--")
		if !ok || name == "" {
			return nil, fmt.Errorf("unexpected argument %.64q%s", arg, hint(args[:i], arg))
		}
		name, value, hasValue := strings.Cut(name, "=")
		o := find(name)
		switch {
		case o == nil:
			return nil, unknown(fmt.Sprintf("--%.64s", name), "unknown flag", name)
		case hasValue:
		case o.arg == "":
			value = "true"
		case i+1 == len(args):
			return nil, fmt.Errorf("--%s: needs a value (%s)", name, o.arg)
		default:
			i++
			value = args[i]
		}
		out = append(out, assignment{o, value, "--" + name})
	}
	return out, nil
}

// hint is what may have been meant by an argument that belongs to no flag.
func hint(before []string, arg string) string {
	if name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "="); find(name) != nil && arg[0] == '-' {
		return ": flags begin with two dashes, --" + name
	}
	if len(before) == 0 {
		return ""
	}
	if o := find(strings.TrimPrefix(before[len(before)-1], "--")); o != nil && o.arg == "" {
		return fmt.Sprintf(": a boolean is written --%s, --%s=true or --%s=false", o.name, o.name, o.name)
	}
	return ""
}

var serviceLink = regexp.MustCompile(`_SERVICE_(HOST|PORT)(_[A-Z0-9_]+)?$|_PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$`)

// parseEnv takes the variables of the table; an empty one counts as not set. Others under the prefix are warned of: they may
// be somebody else's, such as those that Kubernetes makes for a Service.
func parseEnv(environ []string) (out []assignment, warnings []string, err error) {
	links := 0
	for _, kv := range environ {
		key, val, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(key, envPrefix) || val == "" {
			continue
		}
		name := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(key, envPrefix)), "_", "-")
		o := find(name)
		switch {
		case o != nil && o.env() == key:
			out = append(out, assignment{o, val, key})
		case later[name], fileOnly[name]:
			return nil, warnings, unknown(key, "", name)
		case serviceLink.MatchString(key):
			links++
		default:
			w := fmt.Sprintf("%.64s: unknown variable, ignored", key)
			if s := suggest(name); s != "" {
				w += " (did you mean " + find(s).env() + "?)"
			}
			warnings = append(warnings, w)
		}
	}
	if links > 0 {
		warnings = append(warnings, fmt.Sprintf("%d %s… variables look like those that Kubernetes makes for a Service and are ignored "+
			"(enableServiceLinks: false in the pod's spec leaves them out)", links, envPrefix))
	}
	return out, warnings, nil
}

// unknown is the error of a name that the table does not have, or not yet.
func unknown(source, what, name string) error {
	if later[name] {
		return fmt.Errorf("%s: not supported by this version yet", source)
	}
	if fileOnly[name] {
		return fmt.Errorf("%s: can be set in the file of --config alone", source)
	}
	if s := suggest(name); s != "" {
		return fmt.Errorf("%s: %s (did you mean %s?)", source, what, s)
	}
	return fmt.Errorf("%s: %s", source, what)
}

// defaultIdentity follows the downward API's usual names, and is a laptop's own without them.
func (c *Config) defaultIdentity(environ []string) (warning string, err error) {
	namespace, pod := lookup(environ, "POD_NAMESPACE"), lookup(environ, "POD_NAME")
	name, source := namespace+"."+pod, "POD_NAMESPACE and POD_NAME"
	if namespace == "" || pod == "" {
		if namespace != pod {
			warning = "only one of POD_NAMESPACE and POD_NAME is set: the identity is made from the host's name"
		}
		host, err := os.Hostname()
		if err != nil {
			return warning, fmt.Errorf("--identity: none is given, and the host's name is not known: %w", err)
		}
		name, source = "local."+host, "the host's name"
	}
	if err := (identity{&c.Identity}).parse(name); err != nil {
		return warning, fmt.Errorf("--identity: from %s: %w", source, err)
	}
	c.sources["identity"] = source
	return warning, nil
}

func lookup(environ []string, key string) string {
	for _, kv := range environ {
		if k, v, _ := strings.Cut(kv, "="); k == key {
			return v
		}
	}
	return ""
}

var errNoTopic = errors.New("--topic: no topic is given (flag --topic, KCACHE_TOPIC, or topics: in the file)")
