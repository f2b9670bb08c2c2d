package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.uber.org/zap"
)

// telemetry sends what /metrics shows to an OpenTelemetry collector, for as long as the
// process runs. How often, with which headers and certificates is said by OpenTelemetry's
// own variables (OTEL_METRIC_EXPORT_INTERVAL, OTEL_EXPORTER_OTLP_HEADERS ...).
type telemetry struct {
	provider *sdk.MeterProvider
}

// startTelemetry sends what metrics has to --otlp-endpoint.
func (p *part) startTelemetry(metrics prometheus.Gatherer) (*telemetry, error) {
	ctx, log := context.Background(), p.log.Named("otlp")
	// Else it writes to the standard error what it does not return, with the values of headers.
	otel.SetLogger(logr.New(diagnostics{log}))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("metrics that cannot be sent", zap.Error(err)) }))
	exporter, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(p.o.otlpEndpoint.value))
	if err != nil {
		return nil, fmt.Errorf("--otlp-endpoint: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("--otlp-endpoint: who sends them is told by the name of this machine: %w", err)
	}
	sender, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "raftredis"),
		attribute.String("service.version", release),
		attribute.String("service.instance.id", net.JoinHostPort(host, strconv.Itoa(cmp.Or(p.o.front.Port, p.o.front.TLSPort)))),
		attribute.String("host.name", host),
		attribute.Int64("raftredis.member", p.o.id.value),
	), resource.WithFromEnv())
	switch {
	case errors.Is(err, resource.ErrPartialResource):
		log.Warn("OTEL_RESOURCE_ATTRIBUTES is wrong in part: metrics are sent without that", zap.Error(err))
	case err != nil:
		return nil, fmt.Errorf("--otlp-endpoint: %w", err)
	}
	reader := sdk.NewPeriodicReader(told{exporter, log}, sdk.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(metrics))))
	return &telemetry{sdk.NewMeterProvider(sdk.WithResource(sender), sdk.WithReader(reader))}, nil
}

// close sends the last figures, if somebody takes them.
func (t *telemetry) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the log has it
}

// diagnostics is where OpenTelemetry says what is wrong with its variables. What they contain, a
// password perhaps, stays out of the log.
type diagnostics struct{ log *zap.Logger }

// Init and the rest implement logr.LogSink.
func (diagnostics) Init(logr.RuntimeInfo)            {}
func (diagnostics) Enabled(int) bool                 { return false }
func (diagnostics) Info(int, string, ...any)         {}
func (d diagnostics) WithValues(...any) logr.LogSink { return d }
func (d diagnostics) WithName(string) logr.LogSink   { return d }
func (d diagnostics) Error(_ error, msg string, _ ...any) {
	d.log.Warn("OpenTelemetry complains, perhaps about its variables (OTEL_...)", zap.String("about", msg))
}

// told is an exporter whose errors are logged, and not returned: that would log them twice.
type told struct {
	sdk.Exporter
	log *zap.Logger
}

// Export implements sdk.Exporter.
func (t told) Export(ctx context.Context, metrics *metricdata.ResourceMetrics) error {
	if err := t.Exporter.Export(ctx, metrics); err != nil && !errors.Is(err, context.Canceled) { // the end of the process
		why := err.Error() // perhaps a whole page
		t.log.Warn("the collector does not take metrics", zap.String("error", why[:min(len(why), maxWhy)]))
	}
	return nil
}

// maxWhy is how much of a collector's answer is logged.
const maxWhy = 500

// collector completes the URL of a collector: metrics have a path of their own.
func collector(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", errors.New("it is the URL of a collector such as http://127.0.0.1:4318")
	}
	if u.User != nil || u.RawQuery != "" { // they would not be sent
		return "", errors.New("a password or key goes into OTEL_EXPORTER_OTLP_HEADERS, not into the URL")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/metrics"
	}
	return u.String(), nil
}
