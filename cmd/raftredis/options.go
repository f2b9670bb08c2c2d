package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/raftredis/raftredis/raftnode"
	"github.com/raftredis/raftredis/resp"
	"github.com/raftredis/raftredis/resp/directive"
)

// envPrefix begins the environment variable of every option: --read-mode is
// RAFTREDIS_READ_MODE.
const envPrefix = "RAFTREDIS_"

// options is everything that a user can say. Where an option is said several
// times, the command line wins over the environment, the environment over the
// file, and the file over the default.
type options struct {
	id      number
	cluster text
	join    yesNo

	forceFormation  yesNo
	forceNewCluster yesNo

	announceIP   text
	announcePort number
	announceTLS  number
	announceName text
	clusterPort  number
	peerListen   text
	tlsCluster   yesNo
	peerSecret   text

	// front is the settings of package resp, which declares them itself.
	front resp.Config

	dir           text
	appendfsync   oneOf
	snapshotBytes memory
	catchUpBytes  memory

	clusterLevel    oneOf
	proposalTimeout period
	nodeTimeout     period

	loglevel  oneOf
	logfile   text
	logFormat oneOf
	http      text

	otlpEndpoint text

	users   userLines
	config  text
	help    bool
	version bool

	clockOffset offset
	failpoint   text

	flags *pflag.FlagSet
	// registry has every directive, with its value.
	registry *registry
	// idle are the directives of nobody's that were given, "name, name: reason": for
	// one warning.
	idle []string
	// events is the one setting that is state and no limit.
	events eventsValue
	// given says where an option's value comes from; what is not in it has its
	// default.
	given map[string]string
	// restart says that the data directory is somebody's: it knows the members.
	restart bool
}

// newOptions returns the options with their defaults and declares the flags.
func newOptions() *options {
	o := &options{
		id:      number{1, 1, math.MaxInt64},
		cluster: text{kind: "urls"},

		announceIP:   text{kind: "host"},
		announcePort: number{0, 0, 65535},
		announceTLS:  number{0, 0, 65535},
		announceName: text{kind: "name"},
		clusterPort:  number{0, 0, 65535},
		peerListen:   text{kind: "address"},
		peerSecret:   text{kind: "secret"},

		front: resp.DefaultConfig(),

		dir:           text{"./raftredis-data", "path"},
		appendfsync:   oneOf{"always", []string{"always", "everysec", "no"}},
		snapshotBytes: 64 << 20,
		catchUpBytes:  4 << 20,

		clusterLevel:    oneOf{"auto", levelChoices()},
		proposalTimeout: period{5 * time.Second, time.Millisecond},
		nodeTimeout:     period{500 * time.Millisecond, time.Millisecond},

		loglevel:  oneOf{"notice", []string{"debug", "verbose", "notice", "warning", "nothing"}},
		logfile:   text{kind: "file"},
		logFormat: oneOf{"text", []string{"text", "json"}},
		http:      text{kind: "address"},

		otlpEndpoint: text{kind: "url"},

		config:    text{kind: "file"},
		failpoint: text{kind: "name[=n]"},

		given: map[string]string{},
	}
	o.declare()
	return o
}

// declare makes the registry, and a flag of each option in it.
func (o *options) declare() {
	o.registry = o.table()
	fs := pflag.NewFlagSet("raftredis", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {} // main prints errors, and --help is an option like others
	o.flags = fs
	fs.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if opt := o.registry.find(name); opt != nil && opt.Owner != directive.Nobody {
			name = opt.Name // it may have been another name of it
		}
		return pflag.NormalizedName(name)
	})
	for i := range o.registry.all {
		opt := &o.registry.all[i]
		if opt.Owner == directive.Nobody {
			continue
		}
		f := fs.VarPF(opt.value, opt.Name, "", opt.Summary)
		if b, ok := opt.value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
			f.NoOptDefVal = "yes" // --join alone
		}
	}
	fs.BoolVarP(&o.help, "help", "h", false, "print this")
	fs.BoolVarP(&o.version, "version", "v", false, "print the version")
}

// parseOptions reads the command line (without the program's name), the
// environment and the file that either of them names.
func parseOptions(args, environ []string) (*options, error) {
	o := newOptions()
	args, others := o.withoutForeign(o.group(args))
	if err := o.flags.Parse(args); err != nil {
		return nil, o.explain(err)
	}
	if o.help || o.version {
		return o, nil
	}
	o.flags.Visit(func(f *pflag.Flag) { o.given[f.Name] = "--" + f.Name })
	if err := o.takeFile(o.flags.Args()); err != nil {
		return nil, err
	}
	env := readEnv(environ)
	for _, d := range env {
		if d.name == "config" {
			o.config.value = d.value
		}
	}
	errs := []error{o.take(others), o.take(env)}
	if o.config.value != "" {
		fromFile, err := readConfFile(o.config.value, 0)
		errs = append(errs, err, o.take(fromFile))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return o, o.validate()
}

// withoutForeign takes the directives that are no options here out of grouped
// arguments.
func (o *options) withoutForeign(args []string) (rest []string, others []confLine) {
	for _, arg := range args {
		name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if opt := o.registry.find(name); opt != nil && opt.Owner == directive.Nobody && strings.HasPrefix(arg, "-") {
			others = append(others, confLine{name: name, value: value})
		} else {
			rest = append(rest, arg)
		}
	}
	return rest, others
}

// group joins each option with the words behind it, as redis-server does: --bind
// 127.0.0.1 ::1 and --protected-mode no are one option each. Only what stands
// before the first option is not an option's.
func (o *options) group(args []string) []string {
	var out []string
	open, words := "", 0 // the option that takes words, and how many it has
	for _, arg := range args {
		name, value, assigned := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch known := o.flags.Lookup(name) != nil; {
		case arg == "-h" || arg == "-v" || arg == "--help" || arg == "--version":
			out, open = append(out, arg), ""
		case strings.HasPrefix(arg, "--") || known && strings.HasPrefix(arg, "-"):
			out, open, words = append(out, "--"+name), name, 0
			if assigned {
				out[len(out)-1] += "=" + value
				words = 1
			}
		case open == "":
			out = append(out, arg)
		case words == 0:
			out[len(out)-1] += "=" + arg
			words++
		default:
			out[len(out)-1] += " " + arg
			words++
		}
	}
	return out
}

// takeFile accepts the configuration file as the one argument that is not an
// option, as redis-server does.
func (o *options) takeFile(args []string) error {
	for _, a := range args {
		if o.config.value != "" || !looksLikeFile(a) {
			return fmt.Errorf("argument %q is neither an option nor a configuration file", a)
		}
		o.config.value = a
		o.given["config"] = "the first argument"
	}
	return nil
}

func looksLikeFile(arg string) bool {
	if strings.ContainsAny(arg, "/.") {
		return net.ParseIP(arg) == nil
	}
	_, err := os.Stat(arg)
	return err == nil
}

// take sets what is not set yet. Directives of one source are taken together:
// a directive that repeats within a source follows the rule of its type. The error
// joins one for each that is wrong.
func (o *options) take(source []confLine) error {
	fresh := map[string]bool{}
	var errs []error
	for _, d := range source {
		errs = append(errs, o.takeOne(d, fresh))
	}
	return errors.Join(errs...)
}

func (o *options) takeOne(d confLine, fresh map[string]bool) error {
	opt := o.registry.find(d.name)
	if opt == nil { // --help and --version are for the command line alone
		return o.unknown(d.name, d.where)
	}
	if opt.Owner == directive.Nobody {
		return o.takeForeign(d, opt, fresh)
	}
	f := o.flags.Lookup(opt.Name)
	if o.given[f.Name] != "" && !fresh[f.Name] {
		return nil
	}
	if f.Value == &o.users {
		o.users.add(d)
		fresh[f.Name], o.given[f.Name] = true, d.where
		return nil
	}
	value := d.value
	if value == "" && f.NoOptDefVal != "" {
		return fmt.Errorf("%s: %s needs a value: yes or no", d.where, d.name)
	}
	if err := f.Value.Set(value); err != nil {
		return fmt.Errorf("%s: %s %w", d.where, d.name, err)
	}
	fresh[f.Name], o.given[f.Name] = true, d.where
	return nil
}

// readEnv collects RAFTREDIS_* in the order of their names.
func readEnv(environ []string) []confLine {
	var all []confLine
	for _, kv := range environ {
		key, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(key, envPrefix) || fromKubernetes(key, value) {
			continue
		}
		all = append(all, confLine{
			name:  strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(key, envPrefix)), "_", "-"),
			value: value,
			where: "environment variable " + key,
		})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].name < all[j].name })
	return all
}

// fromKubernetes recognises the variables that Kubernetes sets in every
// container when there is a service named raftredis: RAFTREDIS_PORT is then
// tcp://10.0.0.1:6379, and no option of ours.
func fromKubernetes(key, value string) bool {
	rest := strings.TrimPrefix(key, envPrefix)
	return strings.HasPrefix(rest, "SERVICE_") || strings.HasPrefix(rest, "PORT_") ||
		rest == "PORT" && strings.Contains(value, "://")
}

// explain turns pflag's errors into ours.
func (o *options) explain(err error) error {
	var none *pflag.NotExistError
	var bad *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &none):
		if short := none.GetSpecifiedShortnames(); short != "" {
			return fmt.Errorf("there is no option -%s; --help lists them all", short)
		}
		return o.unknown(none.GetSpecifiedName(), "")
	case errors.As(err, &bad):
		return fmt.Errorf("--%s %w", bad.GetFlag().Name, bad.Unwrap())
	case errors.As(err, &missing):
		return fmt.Errorf("--%s needs a value: %s", missing.GetFlag().Name, missing.GetFlag().Value.Type())
	}
	return err
}

// unknown is the error for a name that is no option.
func (o *options) unknown(name, where string) error {
	if where != "" {
		where += ": "
	} else {
		name = "--" + name
	}
	bare := strings.TrimLeft(name, "-")
	names := []string{"help", "version"}
	for i := range o.registry.all {
		if opt := &o.registry.all[i]; opt.Owner != directive.Nobody && !opt.Hidden {
			names = append(names, opt.Name)
		}
	}
	if near := nearest(strings.ToLower(bare), names); near != "" {
		return fmt.Errorf("%sthere is no option %s: did you mean %s?", where, name, strings.Replace(name, bare, near, 1))
	}
	return fmt.Errorf("%sthere is no option %s; --help lists them all", where, name)
}

// givenLimits are the replicated settings that somebody has given.
func (o *options) givenLimits() map[string]int64 {
	given := map[string]int64{}
	for i := range o.registry.all {
		if v, is := o.registry.all[i].value.(*stateValue); is && o.given[v.directive.Name] != "" {
			given[v.directive.Name] = v.value
		}
	}
	return given
}

// validate checks what concerns several options, or the world outside. The error
// joins one for each thing that is wrong.
func (o *options) validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if bool(o.tlsCluster) && (o.front.TLSCertFile == "" || o.front.TLSKeyFile == "" || o.front.TLSCAFile == "") {
		wrong("--tls-cluster needs --tls-cert-file, --tls-key-file and --tls-ca-cert-file")
	}
	switch secret := o.peerSecret.value; {
	case secret == "":
	case bool(o.tlsCluster):
		wrong("--peer-secret is instead of --tls-cluster: one of them")
	case len(secret) < raftnode.MinPeerSecret:
		wrong("--peer-secret has %d bytes: at least %d, or it can be guessed (openssl rand -hex 32 makes one)", len(secret), raftnode.MinPeerSecret)
	}
	if o.nodeTimeout.value < 50*time.Millisecond {
		wrong("--cluster-node-timeout %v is too short: at least 50 ms", o.nodeTimeout.value)
	}
	if o.proposalTimeout.value < time.Millisecond {
		wrong("--proposal-timeout must be at least 1 ms")
	}
	o.peerListen.value = raftnode.NormalizePeerURL(o.peerListen.value)
	if rest, plain := strings.CutPrefix(o.peerListen.value, "http://"); plain && o.scheme() == "https" {
		o.peerListen.value = rest // remembered from a time without certificates or secret
	}
	if l := o.peerListen.value; l != "" && !strings.Contains(l, "://") {
		o.peerListen.value = o.scheme() + "://" + l
	}
	if l := o.peerListen.value; l != "" {
		if err := checkPeerURL(l, o.scheme()); err != nil {
			wrong("--peer-listen: %w", err)
		}
	}
	if o.dir.value == "" {
		wrong("--dir needs a path")
	}
	if o.http.value != "" && !strings.Contains(o.http.value, ":") {
		o.http.value = ":" + o.http.value
	}
	if host, port, err := net.SplitHostPort(o.http.value); o.http.value != "" {
		if err != nil || port == "" {
			wrong("--http must be a port or an address such as 127.0.0.1:6060, not %q", o.http.value)
		} else if host == "" {
			o.http.value = net.JoinHostPort("127.0.0.1", port)
		}
	}
	if o.otlpEndpoint.value != "" {
		endpoint, err := collector(o.otlpEndpoint.value)
		if err != nil {
			wrong("--otlp-endpoint %q: %w", o.otlpEndpoint.value, err)
		}
		o.otlpEndpoint.value = endpoint
	}
	return errors.Join(errs...)
}
