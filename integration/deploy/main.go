// Chart lints the Helm chart strictly and prints what it renders, as JSON: one manifest a
// line. It is helm lint --strict and helm template with Helm's own code, and a module of its
// own, so that Helm is no requirement of raftredis; the whole of Helm takes twice as long
// to build.
//
//	chart [--set name=value,...] directory
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"
)

// kubernetes is the version that the chart is rendered for.
const kubernetes = "v1.30.0"

func main() {
	values := map[string]any{}
	flag.Func("set", "`values` as helm takes them: name=value,name=value; may be given more than once", func(s string) error {
		return strvals.ParseInto(s, values)
	})
	flag.Parse()
	err := errors.New("which chart? its directory is the one argument")
	if flag.NArg() == 1 {
		err = run(os.Stdout, flag.Arg(0), values)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, dir string, values map[string]any) error {
	version, err := chartutil.ParseKubeVersion(kubernetes)
	if err != nil {
		return err
	}
	var complaints []error
	for _, m := range lint.AllWithKubeVersion(dir, values, "default", version).Messages {
		if m.Severity >= support.WarningSev {
			complaints = append(complaints, m)
		}
	}
	if err := errors.Join(complaints...); err != nil {
		return err
	}
	chart, err := loader.Load(dir)
	if err != nil {
		return err
	}
	able := chartutil.DefaultCapabilities.Copy()
	able.KubeVersion = *version
	all, err := chartutil.ToRenderValues(chart, values, chartutil.ReleaseOptions{Name: "raftredis", Namespace: "default", Revision: 1, IsInstall: true}, able)
	if err != nil {
		return err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return err
	}
	var names []string
	for name := range files {
		if strings.HasSuffix(name, ".yaml") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, manifest := range strings.Split("\n"+files[name], "\n---") {
			text, err := yaml.YAMLToJSON([]byte(manifest))
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if string(text) != "null" { // a template that is left out
				fmt.Fprintf(out, "%s\n", text)
			}
		}
	}
	return nil
}
