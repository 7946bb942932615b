{{- define "tidewaiter.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains "tidewaiter" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-tidewaiter" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tidewaiter.selector" -}}
app.kubernetes.io/name: tidewaiter
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tidewaiter.labels" -}}
{{ include "tidewaiter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "tidewaiter.serviceAccount" -}}
{{- default (include "tidewaiter.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "tidewaiter.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* PodSecurity "restricted", and no way to write anywhere. */ -}}
{{- define "tidewaiter.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "tidewaiter.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "tidewaiter.storeName" -}}
{{- printf "%s-store" (include "tidewaiter.fullname" .) -}}
{{- end -}}

{{- define "tidewaiter.storeTls" -}}
{{- default (printf "%s-tls" (include "tidewaiter.storeName" .)) .Values.store.tls.secretName -}}
{{- end -}}

{{- define "tidewaiter.storeUrl" -}}
{{- if .Values.store.url -}}
{{- .Values.store.url -}}
{{- else if .Values.store.service.clusterIP -}}
{{- printf "https://%s" .Values.store.service.clusterIP -}}
{{- else -}}
{{- printf "https://%s.%s.svc" (include "tidewaiter.storeName" .) .Release.Namespace -}}
{{- end -}}
{{- end -}}
