{{- /* Changes a DaemonSet or Deployment (workload) to what is asked for (values). */ -}}
{{- define "trigon.setValues" -}}
{{- $values := .values -}}
{{- $own := ternary .values.controller .values.agent (eq .workload.kind "Deployment") -}}
{{- $pod := .workload.spec.template.spec -}}
{{- $container := first $pod.containers -}}
{{- $image := splitList ":" $container.image -}}
{{- $repository := $values.image.repository | default (first $image) -}}
{{- $_ := set $container "image" (printf "%s:%s" $repository ($values.image.tag | default (last $image))) -}}
{{- with $values.image.pullPolicy }}{{ $_ := set $container "imagePullPolicy" . }}{{ end -}}
{{- with $values.imagePullSecrets }}{{ $_ := set $pod "imagePullSecrets" . }}{{ end -}}
{{- if $values.defaultClass }}{{ $_ := set $container "args" (append $container.args "--default-class") }}{{ end -}}
{{- with $own.extraArgs }}{{ $_ := set $container "args" (concat $container.args .) }}{{ end -}}
{{- with $own.extraEnv }}{{ $_ := set $container "env" (concat $container.env .) }}{{ end -}}
{{- with $own.nodeSelector }}{{ $_ := set $pod "nodeSelector" (merge (dict) . $pod.nodeSelector) }}{{ end -}}
{{- with $own.resources }}{{ $_ := set $container "resources" . }}{{ end -}}
{{- with $own.tolerations }}{{ $_ := set $pod "tolerations" . }}{{ end -}}
{{- with $own.extraCapabilities -}}
{{- $capabilities := $container.securityContext.capabilities -}}
{{- $_ := set $capabilities "add" (concat $capabilities.add .) -}}
{{- end -}}
{{- with $own.seLinuxOptions }}{{ $_ := set $pod.securityContext "seLinuxOptions" . }}{{ end -}}
{{- end -}}
