{{- define "raftredis.name" -}}
{{- if contains "raftredis" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-raftredis" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}
{{- define "raftredis.selector" -}}
app.kubernetes.io/name: raftredis
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "raftredis.labels" -}}
{{ include "raftredis.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "raftredis.secret" -}}
{{ .Values.auth.existingSecret | default (include "raftredis.name" .) }}
{{- end }}
{{- define "raftredis.domain" -}}
{{ include "raftredis.name" . }}-peers.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end }}
