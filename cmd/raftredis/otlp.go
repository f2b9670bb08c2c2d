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

	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
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
	ctx := context.Background()
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
		p.log.Warn("OTEL_RESOURCE_ATTRIBUTES is wrong in part: metrics are sent without that", zap.Error(err))
	case err != nil:
		return nil, fmt.Errorf("--otlp-endpoint: %w", err)
	}
	// Errors end in this node's log; what is returned ends in a global handler's.
	tell := told{exporter, bridge.NewMetricProducer(bridge.WithGatherer(metrics)), p.log.Named("otlp")}
	return &telemetry{sdk.NewMeterProvider(sdk.WithResource(sender), sdk.WithReader(sdk.NewPeriodicReader(tell, sdk.WithProducer(tell))))}, nil
}

// close sends the last figures, if somebody takes them.
func (t *telemetry) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the log has it
}

// told is an exporter and what it exports, whose errors are logged.
type told struct {
	sdk.Exporter
	sdk.Producer
	log *zap.Logger
}

// Produce implements sdk.Producer.
func (t told) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	all, err := t.Producer.Produce(ctx)
	if err != nil {
		t.log.Warn("metrics that cannot be sent", zap.Error(err))
	}
	return all, nil
}

// Export implements sdk.Exporter.
func (t told) Export(ctx context.Context, metrics *metricdata.ResourceMetrics) error {
	if err := t.Exporter.Export(ctx, metrics); err != nil {
		t.log.Warn("the collector does not take metrics", zap.Error(err))
	}
	return nil
}

// collector completes the URL of a collector: metrics have a path of their own.
func collector(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", errors.New("it is the URL of a collector such as http://127.0.0.1:4318")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/metrics"
	}
	return u.String(), nil
}
